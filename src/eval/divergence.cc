#include "eval/divergence.h"

#include <string>

#include "eval/distribution.h"
#include "formats/quote.h"
#include "session/sampler.h"

namespace carat {

Status check_same_vocabulary(const Vocabulary& model, const Vocabulary& reference) {
  const std::string prefix = "the models cannot be compared, their vocabularies differ: ";
  if (model.size() != reference.size()) {
    return refused(prefix + "the model has " + std::to_string(model.size()) + " pieces, the reference " +
                   std::to_string(reference.size()));
  }
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id] == reference.pieces[id]) continue;
    return refused(prefix + "id " + std::to_string(id) + " is " + in_quotes(model.pieces[id]) + " in the model and " +
                   in_quotes(reference.pieces[id]) + " in the reference");
  }
  return success();
}

Result<Divergence> measure_divergence(Model& model, Model& reference, std::span<const int32_t> ids,
                                      const WindowOptions& options, const EvalProgress& progress) {
  CARAT_TRY_STATUS(check_same_vocabulary(model.vocabulary(), reference.vocabulary()));
  Model* const models[] = {&model, &reference};
  RunningMean model_losses;
  RunningMean reference_losses;
  RunningMean klds;
  int64_t agreements = 0;
  CARAT_TRY_STATUS(visit_predictions(models, ids, options, progress, [&](int32_t target, auto logits) {
    const LogProbabilities p(logits[1]);
    const LogProbabilities q(logits[0]);
    model_losses.add(-q[static_cast<size_t>(target)]);
    reference_losses.add(-p[static_cast<size_t>(target)]);
    klds.add(forward_kld(p, q));
    if (most_likely(logits[0]) == most_likely(logits[1])) ++agreements;
  }));
  return Divergence{.model = perplexity_of(model_losses),
                    .reference = perplexity_of(reference_losses),
                    .mean_kld = klds.mean(),
                    .mean_kld_stderr = klds.standard_error(),
                    .top1_agreement = static_cast<double>(agreements) / static_cast<double>(klds.count())};
}

}  // namespace carat
