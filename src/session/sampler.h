#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace carat {

/// How the next token is picked.
struct SamplingOptions {
  float temperature = 0.0f;  ///< 0 picks the most likely token; otherwise logits are divided by it
  int32_t top_k = 0;         ///< keeps the k most likely tokens; 0 keeps all
  float top_p = 1.0f;        ///< keeps the fewest most likely tokens whose probabilities sum to at least this
  uint64_t seed = 0;         ///< the same seed and the same logits give the same tokens
};

/// Refuses a temperature that is negative or not finite, a negative top_k, a top_p outside (0, 1].
Status validate(const SamplingOptions& options);

/// Picks tokens from logits, in this order: temperature, top-k, softmax, top-p, then one draw from what is left.
/// Among equal logits the lower id counts as the more likely one, so that every step is deterministic.
class Sampler {
 public:
  /// `options` are valid.
  explicit Sampler(const SamplingOptions& options);

  /// `logits` [V] are finite and not empty.
  int32_t pick(std::span<const float> logits);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // probability times `total_`
  };

  void keep_top_k(std::span<const float> logits);
  void compute_weights();
  void keep_top_p();
  int32_t draw();
  static bool more_likely(const Candidate& a, const Candidate& b);

  SamplingOptions options_;
  Random random_;
  std::vector<Candidate> candidates_;  // kept between calls so that only the first one allocates
  double total_ = 0.0;                 // sum of the candidates' weights
};

/// The id of the largest logit, the lowest one among equals.
int32_t most_likely(std::span<const float> logits);

}  // namespace carat
