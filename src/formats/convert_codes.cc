#include "formats/convert_codes.h"

#include <algorithm>
#include <cmath>

#include "formats/quote.h"
#include "lattice/codes.h"
#include "lattice/recarry.h"
#include "lattice/search.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

size_t bytes_of(DType dtype, int64_t elements) {
  return static_cast<size_t>(*row_bytes(dtype, static_cast<uint64_t>(elements)));
}

/// Part `index` of bytes that are divided into parts of one size.
template <typename Span>
auto part(Span bytes, int64_t index, size_t size) {
  return bytes.subspan(static_cast<size_t>(index) * size, size);
}

/// Whether blocks of codes with this scale have `found`.
bool rounds_to(float scale, float found) {
  const auto stored = scale_of_blocks(scale);
  return stored && float_from_f16(*stored) == found;
}

}  // namespace

void repack(DType from, Bytes source, DType to, std::span<std::byte> out) {
  if (from == to) {
    std::ranges::copy(source, out.begin());
    return;
  }
  constexpr size_t kAtOnce = 256;
  int8_t codes[kAtOnce];
  const size_t size = bytes_of(from, kAtOnce);
  for (size_t begin = 0; begin < source.size(); begin += size) {
    const size_t bytes = std::min(size, source.size() - begin);
    const std::span<int8_t> some(codes, bytes * static_cast<size_t>(block_elements(from)));
    unpack_codes(from, source.subspan(begin, bytes), some);
    pack_codes(to, some, out.subspan(begin, bytes));
  }
}

std::string CodeMaker::place(const Piece& piece, int64_t row) const {
  return input_.path().string() + ": " + name_in(input_.container(), piece.tensor->name) + ": row " +
         std::to_string(piece.first + row);
}

Result<float> CodeMaker::stored_scale(const CodePlan& plan, const Piece& piece, int64_t row, int64_t group) const {
  const TensorView& view = piece.view();
  if (plan.origin == CodeOrigin::kCodes) return view.scales.at(piece.first + row, group);
  const Bytes blocks = part(view.row(piece.first + row), group, bytes_of(view.dtype, view.columns() / plan.groups));
  const float rounded = *shared_scale(view.dtype, blocks, plan.type);
  const TensorView* exact = exact_scales(input_, piece.tensor->name);
  if (exact == nullptr) return rounded;
  const float scale = ScaleView{DType::kF32, plan.groups, exact->data}.at(piece.first + row, group);
  if (rounds_to(scale, rounded)) return scale;
  return refused(place(piece, row) + ": its blocks have the scale " + number_text(rounded) +
                 ", the scale beside them is " + number_text(scale) +
                 ", which does not round to it; another program has changed one of them, convert the model again");
}

Status CodeMaker::find_scales(const Output& output, const Piece& piece, std::vector<float>& scales) {
  if (output.codes->origin == CodeOrigin::kValues) {
    CARAT_TRY_STATUS(decode_piece(input_, piece, values_));
    search_scales(code_bits(output.codes->type), static_cast<size_t>(piece.view().columns() / output.codes->groups),
                  scales);
    return success();
  }
  for (int64_t row = 0; row < piece.count; ++row) {
    for (int64_t group = 0; group < output.codes->groups; ++group) {
      CARAT_TRY(const float scale, stored_scale(*output.codes, piece, row, group));
      if (!is_scale(scale)) {
        return refused(place(piece, row) + ": expected a positive scale, found " + number_text(scale) +
                       "; the file is damaged, copy or convert it again");
      }
      scales.push_back(scale);
    }
  }
  return success();
}

void CodeMaker::search_scales(int bits, size_t length, std::vector<float>& scales) {
  const size_t known = scales.size();
  const size_t count = values_.size() / length;
  scales.resize(known + count);
  threads_.parallel_for(static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      scales[known + i] = searched_scale(bits, std::span(values_).subspan(i * length, length));
    }
  });
}

void CodeMaker::recover_codes(const CodePlan& plan, const Piece& piece) {
  const TensorView& view = piece.view();
  const int64_t length = view.columns() / plan.groups;
  const size_t block_size = bytes_of(view.dtype, length);
  const size_t code_size = bytes_of(plan.type, length);
  const std::span<std::byte> codes(codes_);
  for (int64_t i = 0; i < piece.count * plan.groups; ++i) {
    const auto found =
        codes_from_blocks(view.dtype, part(piece.bytes(), i, block_size), plan.type, part(codes, i, code_size));
    CARAT_CHECK(found.has_value(), "blocks that were planned to hold codes");
  }
}

Status CodeMaker::make_codes(const Output& output, std::span<const float> scales, const Piece& piece) {
  const CodePlan& plan = *output.codes;
  const TensorView& view = piece.view();
  codes_.resize(bytes_of(plan.type, piece.count * view.columns()));
  if (plan.origin == CodeOrigin::kCodes) {
    repack(view.dtype, piece.bytes(), plan.type, codes_);
    return success();
  }
  if (plan.origin == CodeOrigin::kBlocks) {
    recover_codes(plan, piece);
    return success();
  }
  CARAT_TRY_STATUS(decode_piece(input_, piece, values_));
  const auto length = static_cast<size_t>(view.columns() / plan.groups);
  const size_t code_size = bytes_of(plan.type, static_cast<int64_t>(length));
  const std::span<std::byte> codes(codes_);
  for (size_t i = 0; i < scales.size(); ++i) {
    encode_codes(plan.type, std::span(values_).subspan(i * length, length), scales[i],
                 codes.subspan(i * code_size, code_size));
  }
  return success();
}

Status CodeMaker::make_blocks(const Output& output, std::span<const float> scales, const Piece& piece,
                              ConvertTally& tally) {
  const CodePlan& plan = *output.codes;
  const int64_t length = piece.view().columns() / plan.groups;
  const size_t code_size = bytes_of(plan.type, length);
  const size_t block_size = bytes_of(output.spec.dtype, length);
  blocks_.resize(scales.size() * block_size);
  factors_.resize(scales.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    const auto scale = scale_of_blocks(scales[i]);
    if (!scale) {
      return refused(place(piece, static_cast<int64_t>(i) / plan.groups) + " has the scale " + number_text(scales[i]) +
                     ", which is zero or infinite in the binary16 of GGUF's blocks; convert the model to a folder");
    }
    factors_[i] = float_from_f16(*scale);
    blocks_from_codes(plan.type, Bytes(codes_).subspan(i * code_size, code_size), *scale, output.spec.dtype,
                      std::span(blocks_).subspan(i * block_size, block_size));
    if (factors_[i] == scales[i]) continue;
    ++tally.rounded_scales;
    const double change = std::fabs(static_cast<double>(factors_[i]) / static_cast<double>(scales[i]) - 1.0);
    tally.largest_scale_change = std::max(tally.largest_scale_change, change);
  }
  return success();
}

void CodeMaker::count_moved(const CodePlan& plan, std::span<const float> scales, std::span<const float> factors,
                            ConvertTally& tally) {
  const bool made = plan.origin == CodeOrigin::kValues;
  const size_t length = codes_.size() * static_cast<size_t>(block_elements(plan.type)) / scales.size();
  const size_t code_size = codes_.size() / scales.size();
  unpacked_.resize(length);
  for (size_t i = 0; i < scales.size(); ++i) {
    if (!made && scales[i] == factors[i]) continue;
    unpack_codes(plan.type, Bytes(codes_).subspan(i * code_size, code_size), unpacked_);
    for (size_t k = 0; k < length; ++k) {
      const float value = static_cast<float>(unpacked_[k]) * factors[i];
      const float before = made ? values_[i * length + k] : static_cast<float>(unpacked_[k]) * scales[i];
      if (!same_bits(value, before)) ++tally.moved_weights;
    }
  }
}

Result<Bytes> CodeMaker::make(const Output& output, std::span<const float> scales, const Piece& piece,
                              ConvertTally& tally) {
  const auto groups = static_cast<size_t>(output.codes->groups);
  const auto own =
      scales.subspan(static_cast<size_t>(piece.output_row) * groups, static_cast<size_t>(piece.count) * groups);
  CARAT_TRY_STATUS(make_codes(output, own, piece));
  if (is_code_type(output.spec.dtype)) {
    count_moved(*output.codes, own, own, tally);
    return Bytes(codes_);
  }
  CARAT_TRY_STATUS(make_blocks(output, own, piece, tally));
  count_moved(*output.codes, own, factors_, tally);
  return Bytes(blocks_);
}

}  // namespace carat
