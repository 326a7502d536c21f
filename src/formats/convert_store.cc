#include "formats/convert_store.h"

#include <algorithm>
#include <cmath>

#include "formats/quote.h"
#include "lattice/codes.h"
#include "lattice/recarry.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

void multiply(std::span<const int8_t> codes, float scale, std::span<float> values) {
  for (size_t i = 0; i < codes.size(); ++i) values[i] = static_cast<float>(codes[i]) * scale;
}

bool is_block(DType dtype) { return block_elements(dtype) > 1 && !is_code_type(dtype); }

}  // namespace

Result<Bytes> CodeStore::store(const Output& output, const Piece& piece, const CodedRows& rows, ConvertTally& tally,
                               Moves& moves) {
  factors_ = rows.scales;
  if (is_block(output.spec.dtype)) CARAT_TRY_STATUS(round_scales(output, piece, rows, tally));
  CARAT_TRY_STATUS(write(output, piece, rows));
  count(output, piece, rows, moves);
  tally.recovered_groups += rows.recovered_groups;
  tally.rounded_groups += rows.rounded_groups;
  tally.unfit_scales += rows.unfit_scales;
  return Bytes(bytes_);
}

Status CodeStore::round_scales(const Output& output, const Piece& piece, const CodedRows& rows, ConvertTally& tally) {
  for (size_t i = 0; i < factors_.size(); ++i) {
    const float scale = rows.scales[i];
    if (scale == 0) continue;
    const auto half = scale_of_blocks(scale);
    if (!half) {
      const int64_t row = piece.first + static_cast<int64_t>(i) / output.codes->groups;
      return refused(input_.path().string() + ": " + name_in(input_.container(), piece.tensor->name) + ": row " +
                     std::to_string(row) + " has the scale " + number_text(scale) + ", which is zero or infinite in " +
                     "the binary16 of GGUF's blocks; convert the model to a folder");
    }
    factors_[i] = float_from_f16(*half);
    if (factors_[i] == scale) continue;
    ++tally.rounded_scales;
    const double change = std::fabs(static_cast<double>(factors_[i]) / static_cast<double>(scale) - 1.0);
    tally.largest_scale_change = std::max(tally.largest_scale_change, change);
  }
  return success();
}

Status CodeStore::write(const Output& output, const Piece& piece, const CodedRows& rows) {
  const DType type = output.spec.dtype;
  const size_t length = rows.codes.size() / factors_.size();
  const size_t size = static_cast<size_t>(*row_bytes(type, length));
  bytes_.resize(factors_.size() * size);
  for (size_t i = 0; i < factors_.size(); ++i) {
    const std::span<const int8_t> codes = std::span(rows.codes).subspan(i * length, length);
    const std::span<std::byte> out = std::span(bytes_).subspan(i * size, size);
    if (is_code_type(type)) {
      pack_codes(type, codes, out);
    } else if (is_block(type)) {
      blocks_from_codes(codes, f16_from_float(factors_[i]), type, out);
    } else {
      after_.resize(length);
      multiply(codes, factors_[i], after_);
      const auto infinite = std::ranges::find_if_not(after_, [](float value) { return std::isfinite(value); });
      if (infinite != after_.end()) {
        return refused(place_of_value(input_, piece, i * length + static_cast<size_t>(infinite - after_.begin())) +
                       " is not finite; the file is damaged");
      }
      std::ranges::copy(std::as_bytes(std::span(after_)), out.begin());
    }
  }
  return success();
}

void CodeStore::count(const Output& output, const Piece& piece, const CodedRows& rows, Moves& moves) {
  const bool has_values = !rows.values.empty();
  // Codes that stay codes, and are given no other scale, stay where they are.
  if (!has_values && !is_block(output.spec.dtype)) return;
  const size_t length = rows.codes.size() / factors_.size();
  const DType stored = has_values && !is_code_type(piece.view().dtype) && !is_block(piece.view().dtype)
                           ? piece.view().dtype
                           : DType::kF32;
  before_.resize(length);
  after_.resize(length);
  for (size_t i = 0; i < factors_.size(); ++i) {
    const std::span<const int8_t> codes = std::span(rows.codes).subspan(i * length, length);
    std::span<const float> before = before_;
    if (has_values) {
      before = std::span(rows.values).subspan(i * length, length);
    } else {
      multiply(codes, rows.scales[i], before_);
    }
    if (rows.still[i] != 0 && factors_[i] == rows.scales[i]) {
      moves.add_still(before);
      continue;
    }
    multiply(codes, factors_[i], after_);
    moves.add(before, after_, stored);
  }
}

}  // namespace carat
