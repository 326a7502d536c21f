#include "model/attention.h"

#include <cmath>

namespace carat {
namespace {

bool is_full(const LayerConfig& layer) { return layer.attention == AttentionType::kFull; }

const float* rotations(const Pass& pass, const LayerConfig& layer, Rows rows) {
  const std::vector<float>& table = is_full(layer) ? pass.scratch.full_rotations : pass.scratch.sliding_rotations;
  return table.data() + rows.first * layer.head_width;
}

/// The values of a layer without a projection of its own for them are its keys before their norm.
void append_keys_and_values(const Pass& pass, const LayerConfig& shape, size_t layer, Rows rows) {
  const LayerWeights& weights = pass.weights.layers[layer];
  Activations& scratch = pass.scratch;
  float* keys = scratch.keys.data();
  float* values = scratch.values.data();
  const int64_t heads = rows.count * shape.kv_heads;
  const float epsilon = pass.config.rms_epsilon;

  pass.linear(weights.k_proj, scratch.normed.data(), rows.count, keys);
  if (!shape.value_is_key) pass.linear(weights.v_proj, scratch.normed.data(), rows.count, values);
  pass.ops.rms_norm(shape.value_is_key ? keys : values, nullptr, heads, shape.head_width, epsilon, values);
  if (!rebuilds_keys(pass.config, layer)) {
    pass.ops.rms_norm(keys, weights.k_norm.data(), heads, shape.head_width, epsilon, keys);
    pass.ops.rope(keys, rows.count, shape.kv_heads, shape.head_width, rotations(pass, shape, rows));
  }
  if (pass.observer != nullptr) {
    pass.observer->see_cache(layer, rows.count, rebuilds_keys(pass.config, layer) ? nullptr : keys, values);
  }
  pass.cache.store(layer, rows.count, keys, values);
}

KeyValueView keys_and_values(const Pass& pass, const LayerConfig& shape) {
  const auto owner = static_cast<size_t>(shape.kv_layer);
  KeyValueView view = pass.cache.view(owner);
  view.key_norm = pass.weights.layers[owner].k_norm.data();
  return view;
}

void attend(const Pass& pass, const LayerConfig& shape, size_t layer, Rows rows) {
  const LayerWeights& weights = pass.weights.layers[layer];
  Activations& scratch = pass.scratch;
  float* queries = scratch.queries.data();
  const AttentionShape attention = {.T = rows.count,
                                    .heads = pass.config.heads,
                                    .first_position = pass.first_position + rows.first,
                                    .window = is_full(shape) ? 0 : pass.config.sliding_window};
  const int64_t heads = rows.count * attention.heads;

  pass.linear(weights.q_proj, scratch.normed.data(), rows.count, queries);
  pass.ops.rms_norm(queries, weights.q_norm.data(), heads, shape.head_width, pass.config.rms_epsilon, queries);
  pass.ops.rope(queries, rows.count, attention.heads, shape.head_width, rotations(pass, shape, rows));
  pass.ops.attention(queries, keys_and_values(pass, shape), attention, scratch.attention_parts,
                     scratch.attended.data());
}

}  // namespace

void add_attention(const Pass& pass, size_t layer, Rows rows) {
  const LayerConfig& shape = pass.config.layers[layer];
  const LayerWeights& weights = pass.weights.layers[layer];
  Activations& scratch = pass.scratch;
  const int64_t D = pass.config.hidden;
  const float epsilon = pass.config.rms_epsilon;
  float* residual = scratch.residual.data() + rows.first * D;
  float* branch = scratch.branch.data();

  pass.ops.rms_norm(residual, weights.input_norm.data(), rows.count, D, epsilon, scratch.normed.data());
  if (pass.config.owns_kv(layer)) append_keys_and_values(pass, shape, layer, rows);
  attend(pass, shape, layer, rows);
  pass.linear(weights.o_proj, scratch.attended.data(), rows.count, branch);
  pass.ops.rms_norm(branch, weights.post_attention_norm.data(), rows.count, D, epsilon, branch);
  pass.ops.add(residual, branch, rows.count * D);
}

std::vector<float> rope_frequencies(const ModelConfig& config, const LayerConfig& layer) {
  const double theta = is_full(layer) ? config.rope_theta_full : config.rope_theta_sliding;
  const auto width = static_cast<double>(layer.head_width);
  std::vector<float> frequencies(static_cast<size_t>(layer.head_width / 2), 0.0f);
  for (int64_t i = 0; i < config.rotated_pairs(layer); ++i) {
    frequencies[i] = static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(i) / width));
  }
  return frequencies;
}

}  // namespace carat
