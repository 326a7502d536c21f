#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/threads.h"
#include "eval/compare.h"
#include "eval/reference_logits.h"
#include "model/model.h"

namespace carat {

/// The logits that a model gave for every prediction of a text, for others to be compared with: as they are, in
/// memory, when they are few; otherwise in a temporary file that only this process sees, where they are rounded as
/// `ReferenceLogits` are.
class KeptLogits {
 public:
  /// Runs `model` over the text of `task`. At most `memory` bytes of logits stay in memory.
  static Result<KeptLogits> of(Model& model, const EvalTask& task, uint64_t memory);

  /// The mean divergence of `model`, of the same vocabulary, over the same task, with its standard error.
  Result<Estimate> mean_kld(Model& model, const EvalTask& task) const;

 private:
  KeptLogits() = default;
  Status save(Model& model, const EvalTask& task);

  std::vector<float> rows_;  // [predictions, V]; empty when they are in the file
  std::optional<ReferenceLogits> file_;
};

}  // namespace carat
