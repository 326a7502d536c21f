#include "model/per_layer_embedding.h"

#include <algorithm>
#include <cmath>

namespace carat {

void compute_per_layer_inputs(const Pass& pass) {
  const ModelWeights& weights = pass.weights;
  const std::span<const int32_t> slots = pass.token_rows->slots();
  const auto T = static_cast<int64_t>(slots.size());
  const int64_t L = pass.config.layer_count();
  const int64_t P = pass.config.per_layer_width;
  const float projection_scale = 1.0f / std::sqrt(static_cast<float>(pass.config.hidden));
  const float row_scale = std::sqrt(static_cast<float>(P));
  const float sum_scale = 1.0f / std::sqrt(2.0f);
  float* inputs = pass.scratch.per_layer_inputs.data();
  float* rows = pass.scratch.per_layer_rows.data();

  pass.linear(weights.per_layer_model_projection, pass.scratch.residual.data(), T, inputs);
  pass.ops.scale(inputs, T * L * P, projection_scale);
  pass.ops.rms_norm(inputs, weights.per_layer_norm.data(), T * L, P, pass.config.rms_epsilon, inputs);
  for (int64_t first = 0; first < T; first += Activations::kRowsAtOnce) {
    const int64_t count = std::min(Activations::kRowsAtOnce, T - first);
    const std::span<const int32_t> some = slots.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    pass.ops.gather(pass.token_rows->kept(), some, row_scale, rows);
    pass.ops.add_scaled(inputs + first * L * P, rows, count * L * P, sum_scale);
  }
}

void add_per_layer_embedding(const Pass& pass, size_t layer, Rows rows) {
  const LayerWeights& weights = pass.weights.layers[layer];
  Activations& scratch = pass.scratch;
  const int64_t T = rows.count;
  const int64_t D = pass.config.hidden;
  const int64_t L = pass.config.layer_count();
  const int64_t P = pass.config.per_layer_width;
  float* residual = scratch.residual.data() + rows.first * D;
  float* gate = scratch.per_layer_gate.data();
  float* branch = scratch.branch.data();

  pass.linear(weights.per_layer_input_gate, residual, T, gate);
  for (int64_t t = 0; t < T; ++t) {
    const int64_t row = (rows.first + t) * L + static_cast<int64_t>(layer);
    pass.ops.gelu_multiply(gate + t * P, scratch.per_layer_inputs.data() + row * P, P, gate + t * P);
  }
  pass.linear(weights.per_layer_projection, gate, T, branch);
  pass.ops.rms_norm(branch, weights.post_per_layer_norm.data(), T, D, pass.config.rms_epsilon, branch);
  pass.ops.add(residual, branch, T * D);
}

}  // namespace carat
