#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "eval/distribution.h"
#include "eval/windows.h"
#include "model/model.h"

namespace carat {

/// How well a model predicts a text.
struct Perplexity {
  int64_t tokens = 0;              ///< ids predicted
  double perplexity = 0.0;         ///< exp of the mean negative log-likelihood of an id
  double perplexity_stderr = 0.0;  ///< perplexity * standard error of that mean (delta method), ids as independent
};

/// The figures of predictions whose losses, in nats, are given.
Perplexity perplexity_of(const RunningMean& negative_log_likelihoods);

/// Perplexity of `ids` (a text without BOS) under `model`.
Result<Perplexity> measure_perplexity(Model& model, std::span<const int32_t> ids, const WindowOptions& options,
                                      const EvalProgress& progress);

}  // namespace carat
