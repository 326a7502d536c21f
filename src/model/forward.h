#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/pass.h"

namespace carat {

/// The forward pass of a chunk, in order: `begin_chunk`, `run_layer` for every layer, `run_head`. docs/model.md has the
/// rules that they follow.

/// Angle per position of each pair of a head, for each attention type; empty for a type that no layer has.
struct RopeFrequencies {
  /// All layers of a type have one head width.
  explicit RopeFrequencies(const ModelConfig& config);

  std::vector<float> sliding;  // [d / 2]
  std::vector<float> full;     // [d / 2]
};

/// Fills the residual with the scaled embeddings of `ids`, and what all layers share: the inputs of the per-layer
/// embeddings, and the rotations of the chunk's positions.
void begin_chunk(const Pass& pass, const RopeFrequencies& frequencies, std::span<const int32_t> ids);

/// Attention, feed-forward and per-layer embedding, each added to the residual; then the layer's scalar.
void run_layer(const Pass& pass, size_t layer, Rows rows);

/// Logits [rows.count, V] after the residual's `rows`; they lie in the scratch memory.
std::span<const float> run_head(const Pass& pass, Rows rows);

}  // namespace carat
