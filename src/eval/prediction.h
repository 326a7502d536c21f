#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace carat {

/// How far one prediction is from that of a reference.
struct ReferenceDistance {
  double reference_loss = 0;  ///< -log of the probability that the reference gives the right id, in nats
  double kld = 0;             ///< KL(reference || model) over the vocabulary, in nats, never below 0
  double delta_p = 0;         ///< probability that the model gives the right id, less that of the reference
  double top1 = 0;            ///< 1 when both find the same id most likely, otherwise 0
  double top5 = 0;            ///< part of the reference's five most likely ids that are among the model's five
};

/// What a model gave the id that came next.
struct Prediction {
  double loss = 0;                            ///< -log of the probability of the right id, in nats
  std::optional<ReferenceDistance> distance;  ///< when there is a reference
};

/// Figures of one prediction from the logits [V], finite, of a model, and of a reference or of none (empty). Computed
/// in double. Of equal ids the lower one counts as more likely; a vocabulary of fewer than five ids has as many most
/// likely ones. Equal logits give a divergence of exactly 0. Allocates nothing.
Prediction judge_prediction(int32_t target, std::span<const float> logits, std::span<const float> reference);

}  // namespace carat
