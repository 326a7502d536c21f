#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "eval/perplexity.h"
#include "eval/windows.h"
#include "model/model.h"

namespace carat {

/// How far a model's predictions are from those of a reference, over a text.
struct Divergence {
  Perplexity model;
  Perplexity reference;
  double mean_kld = 0.0;         ///< mean of KL(reference || model) over the predicted ids, in nats
  double mean_kld_stderr = 0.0;  ///< standard error of that mean
  double top1_agreement = 0.0;   ///< part of the predictions, 0 to 1, where both find the same id most likely
};

/// Compares two models over `ids` (a text without BOS). Refuses models of different vocabularies, and says
/// where they differ.
Result<Divergence> measure_divergence(Model& model, Model& reference, std::span<const int32_t> ids,
                                      const WindowOptions& options, const EvalProgress& progress);

/// Succeeds when both vocabularies give every id the same piece.
Status check_same_vocabulary(const Vocabulary& model, const Vocabulary& reference);

}  // namespace carat
