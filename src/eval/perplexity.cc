#include "eval/perplexity.h"

#include <cmath>

namespace carat {

Perplexity perplexity_of(const RunningMean& negative_log_likelihoods) {
  const double perplexity = std::exp(negative_log_likelihoods.mean());
  return {.tokens = negative_log_likelihoods.count(),
          .perplexity = perplexity,
          .perplexity_stderr = perplexity * negative_log_likelihoods.standard_error()};
}

Result<Perplexity> measure_perplexity(Model& model, std::span<const int32_t> ids, const WindowOptions& options,
                                      const EvalProgress& progress) {
  Model* const models[] = {&model};
  RunningMean losses;
  CARAT_TRY_STATUS(visit_predictions(models, ids, options, progress, [&](int32_t target, auto logits) {
    losses.add(-LogProbabilities(logits[0])[static_cast<size_t>(target)]);
  }));
  return perplexity_of(losses);
}

}  // namespace carat
