#include "formats/convert_codes.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "formats/convert_survey.h"
#include "formats/quote.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "lattice/search.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

// 40 MB; those of more are searched for again when they are written.
constexpr size_t kMostRemembered = 10u << 20;

// Groups of values that are worth another thread.
constexpr int64_t kGrain = 64;

size_t bytes_of(DType dtype, size_t elements) { return static_cast<size_t>(*row_bytes(dtype, elements)); }

/// Whether blocks of codes with this scale have `found`.
bool rounds_to(float scale, float found) {
  const auto stored = scale_of_blocks(scale);
  return stored && float_from_f16(*stored) == found;
}

/// The codes, packed or not, of values with this scale.
void quantize(DType type, std::span<const float> values, float scale, std::span<int8_t> codes) {
  std::vector<std::byte> packed(bytes_of(type, values.size()));
  encode_codes(type, values, scale, packed);
  unpack_codes(type, packed, codes);
}

/// Codes and scale that the rule of a type of blocks gives for the values of one block.
float block_rule(DType type, std::span<const float> values, std::span<int8_t> codes) {
  std::array<std::byte, 64> block;
  const std::span<std::byte> bytes = std::span(block).first(static_cast<size_t>(block_bytes(type)));
  encode(type, values, bytes);
  const auto scale = codes_of_block(type, bytes, codes);
  CARAT_CHECK(scale.has_value(), "a block of our own");
  return *scale;
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

Result<const CodedRows*> CodeMaker::make(const Output& output, const Piece& piece) {
  const CodePlan& plan = *output.codes;
  const auto values = static_cast<size_t>(piece.count * piece.view().columns());
  rows_.recovered_groups = rows_.rounded_groups = rows_.unfit_scales = 0;
  rows_.codes.resize(values);
  rows_.still.assign(static_cast<size_t>(piece.count * plan.groups), 1);
  rows_.values.clear();
  switch (plan.origin) {
    case CodeOrigin::kCodes:
      take_codes(plan, piece);
      CARAT_TRY_STATUS(take_stored_scales(plan, piece));
      break;
    case CodeOrigin::kSharedBlocks:
      take_shared_blocks(plan, piece);
      CARAT_TRY_STATUS(take_stored_scales(plan, piece));
      break;
    case CodeOrigin::kBlocks:
      CARAT_TRY_STATUS(take_blocks(plan, piece));
      break;
    case CodeOrigin::kRecovered:
      CARAT_TRY_STATUS(recover(output, piece));
      break;
    case CodeOrigin::kRounded:
      CARAT_TRY_STATUS(round(output, piece));
      break;
  }
  if (plan.has_scales) put_beside(plan);
  return &rows_;
}

Result<const std::vector<float>*> CodeMaker::scales(const Output& output, const Piece& piece) {
  const CodePlan& plan = *output.codes;
  if (plan.origin == CodeOrigin::kCodes || plan.origin == CodeOrigin::kSharedBlocks) {
    CARAT_TRY_STATUS(take_stored_scales(plan, piece));
    return &rows_.scales;
  }
  const std::span<const float> known = known_scales(output, piece);
  if (!known.empty()) {
    rows_.scales.assign(known.begin(), known.end());
    return &rows_.scales;
  }
  CARAT_TRY([[maybe_unused]] const CodedRows* made, make(output, piece));
  return &rows_.scales;
}

Result<float> CodeMaker::shared_scale_of(const CodePlan& plan, const Piece& piece, int64_t row, int64_t group) const {
  const TensorView& view = piece.view();
  const size_t size = bytes_of(view.dtype, static_cast<size_t>(view.columns() / plan.groups));
  const Bytes blocks = view.row(piece.first + row).subspan(static_cast<size_t>(group) * size, size);
  const float rounded = *shared_scale(view.dtype, blocks, plan.type);
  const TensorView* exact = exact_scales(input_, piece.tensor->name);
  if (exact == nullptr) return rounded;
  const float scale = ScaleView{DType::kF32, plan.groups, exact->data}.at(piece.first + row, group);
  if (rounds_to(scale, rounded)) return scale;
  return refused(place(piece, row) + ": its blocks have the scale " + number_text(rounded) +
                 ", the scale beside them is " + number_text(scale) +
                 ", which does not round to it; another program has changed one of them, convert the model again");
}

Status CodeMaker::take_stored_scales(const CodePlan& plan, const Piece& piece) {
  const bool signs = container_ != Container::kSafetensors;
  rows_.scales.clear();
  for (int64_t row = 0; row < piece.count; ++row) {
    for (int64_t group = 0; group < plan.groups; ++group) {
      float scale = 0;
      if (plan.origin == CodeOrigin::kCodes) {
        scale = piece.view().scales.at(piece.first + row, group);
      } else {
        CARAT_TRY(scale, shared_scale_of(plan, piece, row, group));
      }
      if (!is_signed_scale(scale) || (scale < 0 && !signs && plan.has_scales)) {
        return refused(place(piece, row) + ": expected a positive scale, found " + number_text(scale) +
                       "; the file is damaged, copy or convert it again");
      }
      rows_.scales.push_back(scale);
    }
  }
  return success();
}

void CodeMaker::take_codes(const CodePlan& plan, const Piece& piece) {
  const TensorView& view = piece.view();
  const auto columns = static_cast<size_t>(view.columns());
  CARAT_CHECK(code_bits(view.dtype) == code_bits(plan.type), "codes of the same width");
  threads_.parallel_for(piece.count, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      unpack_codes(view.dtype, view.row(piece.first + row),
                   std::span(rows_.codes).subspan(static_cast<size_t>(row) * columns, columns));
    }
  });
}

void CodeMaker::take_shared_blocks(const CodePlan& plan, const Piece& piece) {
  const TensorView& view = piece.view();
  const auto length = static_cast<size_t>(view.columns() / plan.groups);
  const size_t block_size = bytes_of(view.dtype, length);
  std::vector<std::byte> packed(bytes_of(plan.type, length));
  for (size_t i = 0; i < rows_.still.size(); ++i) {
    const auto found =
        codes_from_blocks(view.dtype, piece.bytes().subspan(i * block_size, block_size), plan.type, packed);
    CARAT_CHECK(found.has_value(), "blocks that were planned to hold codes");
    unpack_codes(plan.type, packed, std::span(rows_.codes).subspan(i * length, length));
  }
}

Status CodeMaker::take_blocks(const CodePlan& plan, const Piece& piece) {
  const TensorView& view = piece.view();
  const auto length = static_cast<size_t>(view.columns() / plan.groups);
  const size_t size = bytes_of(view.dtype, length);
  const TensorView* exact = exact_scales(input_, piece.tensor->name);
  rows_.scales.clear();
  for (size_t i = 0; i < rows_.still.size(); ++i) {
    const auto found = codes_of_block(view.dtype, piece.bytes().subspan(i * size, size),
                                      std::span(rows_.codes).subspan(i * length, length));
    if (!found) {
      return refused(place_of_group(plan, piece, i) + ": the scale of the block is not finite; the file is damaged");
    }
    rows_.scales.push_back(*found);
    if (exact == nullptr || exact->columns() != plan.groups) continue;
    const float scale =
        ScaleView{DType::kF32, 1, exact->data}.at(piece.first * plan.groups + static_cast<int64_t>(i), 0);
    if (rounds_to(scale, *found)) rows_.scales.back() = scale;
  }
  return success();
}

Status CodeMaker::recover(const Output& output, const Piece& piece) {
  CARAT_TRY_STATUS(decode_piece(input_, piece, rows_.values));
  recover_rows(lattice_to_find(output, container_, piece.view()), rows_.values, threads_, found_);
  rows_.codes.swap(found_.codes);
  rows_.scales.resize(found_.groups.size());
  for (size_t i = 0; i < found_.groups.size(); ++i) CARAT_TRY_STATUS(take_recovered(output, piece, i));
  return success();
}

Status CodeMaker::take_recovered(const Output& output, const Piece& piece, size_t group) {
  const RecoveredGroup& found = found_.groups[group];
  rows_.scales[group] = found.scale;
  if (found.outcome == Recovery::kExact) {
    ++rows_.recovered_groups;
    return success();
  }
  const bool has_unfit_scale = found.outcome == Recovery::kScaleUnfit;
  // Beside codes a scale may be as wide as this; whoever writes it sees to that.
  if (has_unfit_scale && output.codes->has_scales && output.spec.scale_dtype == DType::kBF16) {
    ++rows_.recovered_groups;
    return success();
  }
  if (!may_move_) return has_unfit_scale ? unfit(output, piece, group) : off_lattice(output, piece, group);
  rows_.still[group] = 0;
  if (has_unfit_scale) {
    ++rows_.unfit_scales;
    if (const auto half = scale_of_blocks(found.scale)) {
      rows_.scales[group] = float_from_f16(*half);
      return success();
    }
  }
  ++rows_.rounded_groups;
  round_group(*output.codes, group, 0);
  return success();
}

Status CodeMaker::round(const Output& output, const Piece& piece) {
  CARAT_TRY_STATUS(decode_piece(input_, piece, rows_.values));
  const size_t groups = rows_.still.size();
  const std::span<const float> known = known_scales(output, piece);
  rows_.scales.resize(groups);
  rows_.rounded_groups = groups;
  std::ranges::fill(rows_.still, uint8_t{0});
  threads_.parallel_for(static_cast<int64_t>(groups), is_code_type(output.codes->asked.lattice) ? 1 : kGrain,
                        [&](int64_t begin, int64_t end) {
                          for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                            round_group(*output.codes, i, known.empty() ? 0.0f : known[i]);
                          }
                        });
  if (known.empty()) remember_scales(output, piece);
  return success();
}

/// `known_scale` is that of an earlier search, or 0.
void CodeMaker::round_group(const CodePlan& plan, size_t group, float known_scale) {
  const size_t length = rows_.values.size() / rows_.still.size();
  const std::span<const float> values = std::span(rows_.values).subspan(group * length, length);
  const std::span<int8_t> codes = std::span(rows_.codes).subspan(group * length, length);
  float& scale = rows_.scales[group];
  if (!is_code_type(plan.asked.lattice)) {
    scale = block_rule(plan.asked.lattice, values, codes);
    return;
  }
  scale = known_scale != 0 ? known_scale : searched_scale(code_bits(plan.type), values);
  quantize(plan.type, values, scale, codes);
}

std::span<const float> CodeMaker::known_scales(const Output& output, const Piece& piece) const {
  const auto found = searched_.find(&output);
  const auto groups = static_cast<size_t>(output.codes->groups);
  const size_t begin = static_cast<size_t>(piece.output_row) * groups,
               count = static_cast<size_t>(piece.count) * groups;
  if (found == searched_.end() || found->second.size() < begin + count) return {};
  return std::span(found->second).subspan(begin, count);
}

void CodeMaker::remember_scales(const Output& output, const Piece& piece) {
  const CodePlan& plan = *output.codes;
  const bool searched = is_code_type(plan.asked.lattice) && plan.has_scales;
  if (!searched || remembered_ + rows_.scales.size() > kMostRemembered) return;
  std::vector<float>& scales = searched_[&output];
  // Only what follows without a gap.
  if (scales.size() != static_cast<size_t>(piece.output_row * plan.groups)) return;
  scales.insert(scales.end(), rows_.scales.begin(), rows_.scales.end());
  remembered_ += rows_.scales.size();
}

/// Beside codes a scale is positive where the codes allow it, and never zero.
void CodeMaker::put_beside(const CodePlan& plan) {
  const size_t length = rows_.codes.size() / rows_.scales.size();
  const auto lowest = static_cast<int8_t>(code_range(code_bits(plan.type)).lowest);
  for (size_t i = 0; i < rows_.scales.size(); ++i) {
    float& scale = rows_.scales[i];
    const std::span<int8_t> codes = std::span(rows_.codes).subspan(i * length, length);
    if (scale == 0) scale = 1;
    if (scale > 0 || plan.origin == CodeOrigin::kCodes || std::ranges::find(codes, lowest) != codes.end()) continue;
    scale = -scale;
    for (int8_t& code : codes) code = static_cast<int8_t>(-code);
  }
}

std::string CodeMaker::place(const Piece& piece, int64_t row) const {
  return input_.path().string() + ": " + name_in(input_.container(), piece.tensor->name) + ": row " +
         std::to_string(piece.first + row);
}

std::string CodeMaker::place_of_group(const CodePlan& plan, const Piece& piece, size_t group) const {
  const auto groups = static_cast<size_t>(plan.groups);
  const auto length = static_cast<size_t>(piece.view().columns()) / groups;
  const size_t first = group % groups * length;
  return place(piece, static_cast<int64_t>(group / groups)) + ", columns " + std::to_string(first) + " to " +
         std::to_string(first + length - 1);
}

Error CodeMaker::off_lattice(const Output& output, const Piece& piece, size_t group) const {
  const std::string& recorded = input_.config().scheme;
  return refused(place_of_group(*output.codes, piece, group) + ": these values do not lie on " +
                 std::string(dtype_name(output.codes->asked.lattice)) +
                 (options_.scheme == nullptr
                      ? ", though the checkpoint says that its weights lie on " + in_quotes(recorded)
                      : ", but weights of the model lie on a lattice") +
                 ways_out(input_, options_));
}

Error CodeMaker::unfit(const Output& output, const Piece& piece, size_t group) const {
  return refused(place_of_group(*output.codes, piece, group) + ": these values lie on " +
                 std::string(dtype_name(output.codes->asked.lattice)) + " only with a scale such as " +
                 number_text(found_.groups[group].scale) + ", which binary16 cannot hold" + ways_out(input_, options_));
}

}  // namespace carat
