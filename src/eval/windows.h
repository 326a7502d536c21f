#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/model.h"

namespace carat {

/// How a text is divided for evaluation: into windows of `positions` ids, each a BOS followed by the next
/// positions - 1 ids of the text. Every id of the text is predicted exactly once, from those before it in its
/// window. The last window may be shorter.
struct WindowOptions {
  int64_t positions = 512;          ///< at least 2; no more than the model's context is used
  std::optional<DType> cache_type;  ///< how the first model keeps keys and values, none is its own way (see
                                    ///< `Model::cache_options`); any other model keeps them in its own way
};

/// Called after every piece; returns whether to go on.
using EvalProgress = std::function<bool(int64_t done, int64_t total)>;

/// The next id and the logits [V] of each model that predict it, in the order of the models.
using PredictionVisitor = std::function<void(int32_t target, std::span<const std::span<const float>> logits)>;

/// Runs `models` (of the same vocabulary) side by side over the windows of `ids` (without BOS) and visits every
/// prediction in order. Only a piece of a window's logits is in memory at a time. Fails when `ids` is empty or
/// holds ids outside the vocabulary, when a model has no BOS, when
/// the cache type does not fit, when logits are not finite, when stopped.
Status visit_predictions(std::span<Model* const> models, std::span<const int32_t> ids, const WindowOptions& options,
                         const EvalProgress& progress, const PredictionVisitor& visit);

}  // namespace carat
