#pragma once

#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "formats/convert_codes.h"
#include "formats/convert_columns.h"
#include "formats/convert_image.h"
#include "formats/convert_moves.h"
#include "formats/convert_piece.h"
#include "formats/convert_plan.h"
#include "formats/convert_store.h"

namespace carat {

/// Makes the tensors of a new checkpoint, in any order and any number of times; what the first time does counts.
class Converter {
 public:
  /// All outlive it.
  Converter(const Checkpoint& input, const OutputPlan& plan, Container container, const ConvertOptions& options,
            const ConvertProgress& progress);

  const ConvertTally& tally() const { return tally_; }

  /// Gives the bytes of `output` to `sink`.
  Status produce(const Output& output, const ByteSink& sink);

  /// The scales of its codes.
  Status produce_scales(const Output& output, const ByteSink& sink);

  /// Whether making the tensors failed because one has scales that its plan's type, BF16, cannot hold.
  bool met_wide_scales() const { return met_wide_scales_; }

  /// Plans F32 for the scales of all tensors that have such; looks at all scales that are found.
  Status widen_scales(std::vector<Output>& outputs);

 private:
  Result<Bytes> make_codes(const Output& output, const Piece& piece, ConvertTally& tally, Moves& moves);
  Status produce_values(const Output& output, const Piece& piece, Moves& moves, const ByteSink& sink);
  Status check_width(const Output& output, std::span<const float> scales);

  const Checkpoint& input_;
  PieceLoop loop_;
  CodeMaker codes_;
  CodeStore store_;
  FloatRounder rounder_;
  ColumnJoiner joiner_;
  ConvertTally tally_;
  std::unordered_set<const Output*> produced_;
  std::unordered_set<const Output*> produced_scales_;
  bool met_wide_scales_ = false;
  // Of one piece; kept so that only the first one allocates.
  std::vector<float> values_;
  std::vector<std::byte> stored_;
};

/// Whether it is a weight: no static quantizer's scale, no scales beside blocks.
bool is_weight(const Output& output);

}  // namespace carat
