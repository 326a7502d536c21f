#include "model/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace carat {
namespace {

/// A score of minus infinity would only keep its expert from being chosen, as if nothing were wrong.
void spread_faults(const Pass& pass, float* scores, int64_t T) {
  const int64_t E = pass.config.experts;
  for (float* row = scores; row < scores + T * E; row += E) {
    if (pass.ops.first_not_finite(row, 1, E) == 0) std::fill_n(row, E, std::numeric_limits<float>::quiet_NaN());
  }
}

/// Fills `chosen_experts` and `expert_factors` [T, experts_used].
void route(const Pass& pass, const MoeWeights& weights, const float* residual, int64_t T) {
  Activations& scratch = pass.scratch;
  const int64_t D = pass.config.hidden;
  const int64_t used = pass.config.experts_used;
  float* routed = scratch.normed.data();
  float* scores = scratch.router_scores.data();
  int32_t* chosen = scratch.chosen_experts.data();
  float* factors = scratch.expert_factors.data();

  pass.ops.rms_norm(residual, weights.router_scale.data(), T, D, pass.config.rms_epsilon, routed);
  pass.ops.scale(routed, T * D, 1.0f / std::sqrt(static_cast<float>(D)));
  pass.ops.linear(weights.router_proj, routed, T, scores);
  spread_faults(pass, scores, T);
  pass.ops.softmax(scores, T, pass.config.experts);
  pass.ops.top_k(scores, T, pass.config.experts, used, chosen, factors);
  for (int64_t t = 0; t < T; ++t) {
    float sum = 0.0f;
    for (int64_t i = t * used; i < (t + 1) * used; ++i) sum += factors[i];
    for (int64_t i = t * used; i < (t + 1) * used; ++i) factors[i] = factors[i] / sum * weights.expert_scale[chosen[i]];
  }
}

/// The tokens that chose an expert, and what its output counts for each of them.
struct Visitors {
  std::span<const int32_t> tokens;
  const float* factors;
};

Visitors visitors_of(int64_t expert, const Pass& pass, int64_t T) {
  Activations& scratch = pass.scratch;
  const int64_t used = pass.config.experts_used;
  size_t count = 0;
  for (int64_t i = 0; i < T * used; ++i) {
    if (scratch.chosen_experts[i] != expert) continue;
    scratch.visiting_tokens[count] = static_cast<int32_t>(i / used);
    scratch.visiting_factors[count++] = scratch.expert_factors[i];
  }
  return {{scratch.visiting_tokens.data(), count}, scratch.visiting_factors.data()};
}

void add_expert(const Pass& pass, const ExpertWeights& expert, const Visitors& visitors) {
  Activations& scratch = pass.scratch;
  const auto n = static_cast<int64_t>(visitors.tokens.size());
  const int64_t D = pass.config.hidden;
  float* rows = scratch.expert_rows.data();
  float* gate = scratch.gate.data();

  pass.ops.gather_rows(scratch.normed.data(), visitors.tokens, D, rows);
  pass.ops.linear(expert.gate, rows, n, gate);
  pass.ops.linear(expert.up, rows, n, scratch.up.data());
  pass.ops.gelu_multiply(gate, scratch.up.data(), n * pass.config.expert_width, gate);
  pass.ops.linear(expert.down, gate, n, rows);
  pass.ops.add_to_rows(rows, visitors.factors, visitors.tokens, D, scratch.expert_sum.data());
}

}  // namespace

void add_experts(const Pass& pass, size_t layer, Rows rows) {
  const MoeWeights& weights = pass.weights.layers[layer].moe;
  Activations& scratch = pass.scratch;
  const int64_t T = rows.count;
  const int64_t D = pass.config.hidden;
  const float epsilon = pass.config.rms_epsilon;
  const float* residual = scratch.residual.data() + rows.first * D;
  float* branch = scratch.branch.data();
  float* sum = scratch.expert_sum.data();

  pass.ops.rms_norm(branch, weights.post_dense_norm.data(), T, D, epsilon, branch);
  route(pass, weights, residual, T);
  pass.ops.rms_norm(residual, weights.pre_experts_norm.data(), T, D, epsilon, scratch.normed.data());
  std::fill_n(sum, T * D, 0.0f);
  for (int64_t e = 0; e < pass.config.experts; ++e) {
    const Visitors visitors = visitors_of(e, pass, T);
    if (!visitors.tokens.empty()) add_expert(pass, weights.experts[e], visitors);
  }
  pass.ops.rms_norm(sum, weights.post_experts_norm.data(), T, D, epsilon, sum);
  pass.ops.add(branch, sum, T * D);
}

}  // namespace carat
