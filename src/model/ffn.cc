#include "model/ffn.h"

#include "model/moe.h"

namespace carat {

void add_ffn(const Pass& pass, size_t layer, Rows rows) {
  const LayerWeights& weights = pass.weights.layers[layer];
  Activations& scratch = pass.scratch;
  Ops& ops = pass.ops;
  const int64_t T = rows.count;
  const int64_t D = pass.config.hidden;
  const int64_t F = pass.config.layers[layer].ffn_width;
  const float epsilon = pass.config.rms_epsilon;
  float* residual = scratch.residual.data() + rows.first * D;
  float* gate = scratch.gate.data();
  float* branch = scratch.branch.data();

  ops.rms_norm(residual, weights.pre_feedforward_norm.data(), T, D, epsilon, scratch.normed.data());
  pass.linear(weights.gate_proj, scratch.normed.data(), T, gate);
  pass.linear(weights.up_proj, scratch.normed.data(), T, scratch.up.data());
  ops.gelu_multiply(gate, scratch.up.data(), T * F, gate);
  pass.linear(weights.down_proj, gate, T, branch);
  if (pass.config.experts > 0) add_experts(pass, layer, rows);
  ops.rms_norm(branch, weights.post_feedforward_norm.data(), T, D, epsilon, branch);
  ops.add(residual, branch, T * D);
}

}  // namespace carat
