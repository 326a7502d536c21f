#include "eval/quantized_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>

#include "base/check.h"
#include "formats/quote.h"
#include "formats/recovered_rows.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "lattice/search.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 20;

bool is_float(DType dtype) { return block_elements(dtype) == 1 && !is_code_type(dtype); }

/// Part `index` of something that is divided into parts of one size.
template <typename Span>
auto part(Span whole, int64_t index, size_t size) {
  return whole.subspan(static_cast<size_t>(index) * size, size);
}

size_t bytes_of(DType dtype, int64_t elements) {
  return static_cast<size_t>(*row_bytes(dtype, static_cast<uint64_t>(elements)));
}

class TensorQuantizer {
 public:
  TensorQuantizer(const NamedTensor& tensor, DType lattice, int64_t group, ThreadPool& threads)
      : tensor_(tensor), view_(tensor.view), threads_(threads), columns_(tensor.view.columns()) {
    made_.dtype = lattice;
    made_.shape = view_.shape;
    made_.data.resize(*tensor_bytes(lattice, view_.shape));
    if (is_code_type(lattice)) {
      made_.groups = group == 0 ? 1 : columns_ / group;
      made_.scales.resize(static_cast<size_t>(view_.rows() * made_.groups) * sizeof(float));
    }
    const DType scale_type = is_code_type(lattice) ? DType::kF32 : DType::kF16;
    const DType value_type = is_float(view_.dtype) ? view_.dtype : DType::kF32;
    known_ =
        tensor_lattice({.pattern = tensor.name, .lattice = lattice, .group = group}, columns_, value_type, scale_type);
    group_ = known_ ? known_->group : columns_;
  }

  Result<QuantizedTensor> quantize() {
    const int64_t at_once = std::max<int64_t>(1, kPieceElements / columns_);
    for (int64_t row = 0; row < view_.rows(); row += at_once) {
      const int64_t count = std::min(at_once, view_.rows() - row);
      CARAT_TRY_STATUS(read(row, count));
      if (known_) recover_rows(*known_, values_, threads_, recovered_);
      measured_.assign(static_cast<size_t>(count), {});
      threads_.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          write_row(row + r, r);
          measured_[static_cast<size_t>(r)] = measure_row(row + r, r);
        }
      });
      for (const RowError& error : measured_) add(error);
    }
    if (made_.moved != 0 && power_ > 0) made_.relative_error = std::sqrt(squares_ / power_);
    return std::move(made_);
  }

 private:
  struct RowError {
    double squares = 0;
    double power = 0;
    uint64_t moved = 0;
  };

  std::span<const float> row_values(int64_t r) const {
    return part(std::span(values_), r, static_cast<size_t>(columns_));
  }

  Status read(int64_t first, int64_t count) {
    values_.resize(static_cast<size_t>(count * columns_));
    threads_.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        decode_row(view_, first + r, part(std::span(values_), r, static_cast<size_t>(columns_)));
      }
    });
    const auto found = std::ranges::find_if_not(values_, [](float value) { return std::isfinite(value); });
    if (found == values_.end()) return success();
    return refused(tensor_.name + ": a value is " + number_text(*found) +
                   ", expected finite numbers; the file is damaged");
  }

  std::span<std::byte> made_row(int64_t row) {
    return part(std::span(made_.data), row, bytes_of(made_.dtype, columns_));
  }

  /// `r` counts rows of the piece.
  void write_row(int64_t row, int64_t r) {
    if (!is_code_type(made_.dtype)) encode(made_.dtype, row_values(r), made_row(row));
    if (!known_) return;
    const int64_t groups = columns_ / group_;
    const size_t group_bytes = bytes_of(made_.dtype, group_);
    for (int64_t g = 0; g < groups; ++g) {
      const RecoveredGroup& found = recovered_.groups[static_cast<size_t>(r * groups + g)];
      const bool exact = found.outcome == Recovery::kExact;
      const auto codes = part(std::span<const int8_t>(recovered_.codes), r * groups + g, static_cast<size_t>(group_));
      const std::span<std::byte> out = part(made_row(row), g, group_bytes);
      if (is_code_type(made_.dtype)) {
        write_codes(part(row_values(r), g, static_cast<size_t>(group_)), exact ? &found : nullptr, codes,
                    row * groups + g, out);
      } else if (exact) {
        write_block(found.scale, codes, out);
      }
    }
  }

  /// `index` is that of the scale.
  void write_codes(std::span<const float> values, const RecoveredGroup* found, std::span<const int8_t> codes,
                   int64_t index, std::span<std::byte> out) {
    float scale = 0;
    if (found != nullptr) {
      scale = found->scale == 0 ? 1.0f : found->scale;
      pack_codes(made_.dtype, codes, out);
    } else {
      scale = searched_scale(code_bits(made_.dtype), values);
      encode_codes(made_.dtype, values, scale, out);
    }
    std::memcpy(made_.scales.data() + static_cast<size_t>(index) * sizeof(float), &scale, sizeof(float));
  }

  void write_block(float scale, std::span<const int8_t> codes, std::span<std::byte> out) const {
    const DType packed = *code_type_of(made_.dtype);
    std::byte bytes[32];  // codes of one block
    const auto stored = std::span(bytes).first(bytes_of(packed, group_));
    pack_codes(packed, codes, stored);
    blocks_from_codes(packed, stored, f16_from_float(scale), made_.dtype, out);
  }

  RowError measure_row(int64_t row, int64_t r) const {
    std::vector<float> moved(static_cast<size_t>(columns_));
    decode_row(made_.view(), row, moved);
    std::vector<float> as_stored = moved;
    if (is_float(view_.dtype)) snap(view_.dtype, moved, as_stored);
    RowError error;
    const std::span<const float> values = row_values(r);
    for (size_t i = 0; i < values.size(); ++i) {
      const double value = values[i];
      error.power += value * value;
      if (as_stored[i] == values[i]) continue;
      ++error.moved;
      error.squares += (moved[i] - value) * (moved[i] - value);
    }
    return error;
  }

  void add(const RowError& error) {
    squares_ += error.squares;
    power_ += error.power;
    made_.moved += error.moved;
  }

  const NamedTensor& tensor_;
  const TensorView& view_;
  ThreadPool& threads_;
  int64_t columns_;
  std::optional<TensorLattice> known_;  // none for single floats
  int64_t group_;                       // columns that share a scale
  QuantizedTensor made_;
  double squares_ = 0;
  double power_ = 0;
  // Of one piece.
  std::vector<float> values_;
  RecoveredRows recovered_;
  std::vector<RowError> measured_;
};

}  // namespace

TensorView QuantizedTensor::view() const { return {dtype, shape, data, {DType::kF32, groups, scales}}; }

bool fits_rows(const Shape& shape, DType lattice, int64_t group) {
  if (shape.size() < 2) return false;
  const int64_t columns = shape.back();
  const int64_t length = group == 0 ? columns : group;
  return columns > 0 && columns % length == 0 && row_bytes(lattice, static_cast<uint64_t>(length)).has_value();
}

Result<QuantizedTensor> quantize_tensor(const NamedTensor& tensor, DType lattice, int64_t group, ThreadPool& threads) {
  CARAT_CHECK(fits_rows(tensor.view.shape, lattice, group), "rows of whole groups");
  return TensorQuantizer(tensor, lattice, group, threads).quantize();
}

}  // namespace carat
