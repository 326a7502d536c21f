#include "model/forward.h"

#include <algorithm>
#include <cmath>

#include "model/attention.h"
#include "model/ffn.h"
#include "model/per_layer_embedding.h"

namespace carat {
namespace {

std::vector<float> frequencies_of(const ModelConfig& config, AttentionType type) {
  const auto layer = std::find_if(config.layers.begin(), config.layers.end(),
                                  [type](const LayerConfig& candidate) { return candidate.attention == type; });
  if (layer == config.layers.end()) return {};
  return rope_frequencies(config, *layer);
}

}  // namespace

RopeFrequencies::RopeFrequencies(const ModelConfig& config)
    : sliding(frequencies_of(config, AttentionType::kSliding)), full(frequencies_of(config, AttentionType::kFull)) {}

void begin_chunk(const Pass& pass, const RopeFrequencies& frequencies, std::span<const int32_t> ids) {
  const auto T = static_cast<int64_t>(ids.size());
  const float embedding_scale = std::sqrt(static_cast<float>(pass.config.hidden));
  Activations& scratch = pass.scratch;
  pass.ops.gather(pass.weights.embed_tokens, ids, embedding_scale, scratch.residual.data());
  if (pass.config.per_layer_width > 0) compute_per_layer_inputs(pass);
  pass.ops.rope_table(frequencies.sliding, pass.first_position, T, scratch.sliding_rotations.data());
  pass.ops.rope_table(frequencies.full, pass.first_position, T, scratch.full_rotations.data());
  pass.cache.store_rotations(T, scratch.full_rotations.data());
}

void run_layer(const Pass& pass, size_t layer, Rows rows) {
  const int64_t D = pass.config.hidden;
  add_attention(pass, layer, rows);
  add_ffn(pass, layer, rows);
  if (pass.config.per_layer_width > 0) add_per_layer_embedding(pass, layer, rows);
  pass.ops.scale(pass.scratch.residual.data() + rows.first * D, rows.count * D,
                 pass.weights.layers[layer].layer_scalar);
}

std::span<const float> run_head(const Pass& pass, Rows rows) {
  const int64_t D = pass.config.hidden;
  const int64_t V = pass.config.vocabulary;
  const float* residual = pass.scratch.residual.data() + rows.first * D;
  float* normed = pass.scratch.normed.data();
  float* logits = pass.scratch.logits.get();
  pass.ops.rms_norm(residual, pass.weights.final_norm.data(), rows.count, D, pass.config.rms_epsilon, normed);
  pass.linear(pass.weights.head, normed, rows.count, logits);
  if (pass.config.softcap > 0.0f) pass.ops.softcap(logits, rows.count * V, pass.config.softcap);
  return {logits, static_cast<size_t>(rows.count * V)};
}

}  // namespace carat
