#include "formats/converter.h"

#include <span>

#include "formats/names.h"
#include "lattice/lattice.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

/// Whether the scales take a walk over the values of their own.
bool counts_scales(const Output& output) {
  if (!output.codes || !output.codes->has_scales) return false;
  const CodeOrigin origin = output.codes->origin;
  return origin != CodeOrigin::kCodes && origin != CodeOrigin::kSharedBlocks;
}

uint64_t weights_to_count(const std::vector<Output>& outputs) {
  uint64_t total = 0;
  for (const Output& output : outputs) {
    if (!is_weight(output)) continue;
    total += static_cast<uint64_t>(*element_count(output.spec.shape)) * (counts_scales(output) ? 2 : 1);
  }
  return total;
}

bool holds(DType dtype, float scale) {
  return dtype != DType::kBF16 || float_from_bf16(bf16_from_float(scale)) == scale;
}

}  // namespace

bool is_weight(const Output& output) { return !output.number && !is_exact_scale(output.spec.name); }

Converter::Converter(const Checkpoint& input, const OutputPlan& plan, Container container,
                     const ConvertOptions& options, const ConvertProgress& progress)
    : input_(input),
      loop_(weights_to_count(plan.outputs), progress),
      codes_(input, container, options, plan.may_move),
      store_(input),
      rounder_(input, plan.may_move, options.threads),
      joiner_(loop_) {}

Status Converter::produce(const Output& output, const ByteSink& sink) {
  if (output.number) return sink(std::as_bytes(std::span(&*output.number, 1)));
  const bool first_time = produced_.insert(&output).second;
  if (!output.columns.empty()) return joiner_.codes(output, first_time, sink);
  ConvertTally unused;
  ConvertTally& tally = first_time ? tally_ : unused;
  Moves moves;
  CARAT_TRY_STATUS(loop_.for_each(output, first_time && is_weight(output), [&](const Piece& piece) -> Status {
    if (!output.codes) return produce_values(output, piece, moves, sink);
    CARAT_TRY(const Bytes made, make_codes(output, piece, tally, moves));
    return sink(made);
  }));
  tally.moves.add_tensor(moves);
  return success();
}

Result<Bytes> Converter::make_codes(const Output& output, const Piece& piece, ConvertTally& tally, Moves& moves) {
  const CodePlan& plan = *output.codes;
  if (plan.origin == CodeOrigin::kCodes && is_code_type(output.spec.dtype)) {
    stored_.resize(piece.bytes().size());
    repack(piece.view().dtype, piece.bytes(), output.spec.dtype, stored_);
    return Bytes(stored_);
  }
  CARAT_TRY(const CodedRows* rows, codes_.make(output, piece));
  CARAT_TRY_STATUS(check_width(output, rows->scales));
  return store_.store(output, piece, *rows, tally, moves);
}

Status Converter::produce_scales(const Output& output, const ByteSink& sink) {
  if (!output.columns.empty()) return joiner_.scales(output, sink);
  const bool first_time = produced_scales_.insert(&output).second;
  return loop_.for_each(output, first_time && counts_scales(output), [&](const Piece& piece) -> Status {
    CARAT_TRY(const std::vector<float>* scales, codes_.scales(output, piece));
    CARAT_TRY_STATUS(check_width(output, *scales));
    stored_.resize(*row_bytes(output.spec.scale_dtype, scales->size()));
    encode(output.spec.scale_dtype, *scales, stored_);
    return sink(stored_);
  });
}

/// Writes the values of `piece` in the type of `output`.
Status Converter::produce_values(const Output& output, const Piece& piece, Moves& moves, const ByteSink& sink) {
  const DType stored_type = piece.view().dtype;
  CARAT_TRY_STATUS(decode_piece(input_, piece, values_));
  // What is stored on the lattice stays, and F32 holds everything.
  const bool stays = output.lattice == stored_type;
  if (!stays && output.lattice != DType::kF32) {
    CARAT_TRY_STATUS(rounder_.round(output, piece, values_, moves));
  }
  if (stays && output.spec.dtype == stored_type) return sink(piece.bytes());
  stored_.resize(*row_bytes(output.spec.dtype, values_.size()));
  encode(output.spec.dtype, values_, stored_);
  return sink(stored_);
}

Status Converter::check_width(const Output& output, std::span<const float> scales) {
  if (!output.codes->has_scales) return success();
  for (const float scale : scales) {
    if (holds(output.spec.scale_dtype, scale)) continue;
    met_wide_scales_ = true;
    return failed(input_.path().string() + ": " + output.spec.name + ": a scale is no bfloat16 number");
  }
  return success();
}

Status Converter::widen_scales(std::vector<Output>& outputs) {
  for (Output& output : outputs) {
    if (!counts_scales(output) || output.spec.scale_dtype != DType::kBF16) continue;
    bool wide = false;
    CARAT_TRY_STATUS(loop_.for_each(output, false, [&](const Piece& piece) -> Status {
      CARAT_TRY(const std::vector<float>* scales, codes_.scales(output, piece));
      for (const float scale : *scales) wide = wide || !holds(DType::kBF16, scale);
      return success();
    }));
    if (wide) output.spec.scale_dtype = DType::kF32;
  }
  return success();
}

}  // namespace carat
