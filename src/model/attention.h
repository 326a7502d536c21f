#pragma once

#include <vector>

#include "model/pass.h"

namespace carat {

/// residual += norm(o_proj(attention(norm(residual)))), with rotated queries and keys normed per head and values
/// normed without a weight. A layer that owns keys and values appends its own to the cache first; any other reads
/// those of its donor. Scores are not scaled. A layer whose `value_is_key` takes its key projection, before norm and
/// rotation, for its values.
void add_attention(const Pass& pass, size_t layer, Rows rows);

/// Angle per position of each pair of a head, [d / 2]: theta^(-2i / d) for the pairs that rotate, 0 for the rest.
/// The denominator is the whole head width also where only a part rotates ("proportional" RoPE).
std::vector<float> rope_frequencies(const ModelConfig& config, const LayerConfig& layer);

}  // namespace carat
