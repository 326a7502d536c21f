#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "eval/eval_text.h"
#include "model/model.h"

namespace carat {

/// How a text is divided for evaluation. Every document is divided into windows of `positions` ids, each a BOS followed
/// by the next positions - 1 ids of the document; the last window may be shorter. With an overlap, the first `overlap`
/// of these ids, in all but a document's first window, are the last ones of the window before: they are seen and not
/// predicted again. So every id of the text is predicted exactly once, from those before it in its window.
struct WindowOptions {
  int64_t positions = 512;          ///< at least 2; no more than the model's context is used
  int64_t overlap = 0;              ///< at most positions - 2
  std::optional<DType> cache_type;  ///< how the first model keeps keys and values, none is its own way (see
                                    ///< `Model::cache_options`); any other model keeps them in its own way
};

/// Positions of a window for models with these contexts: what `options` want, or the least context. Refuses options
/// that leave nothing to predict.
Result<int64_t> window_positions(const WindowOptions& options, std::span<const int64_t> contexts);

/// "windows of 512 positions, each begins with BOS, 0 overlap".
std::string windows_text(int64_t positions, int64_t overlap);

/// Called after every piece; returns whether to go on.
using EvalProgress = std::function<bool(int64_t done, int64_t total)>;

/// What models predict for neighbouring ids of a document.
struct Predictions {
  int64_t first;                                   ///< how many ids of the text come before
  const EvalDocument* document;                    ///< that the ids belong to
  std::span<const int32_t> targets;                ///< the ids, [T]
  std::span<const std::span<const float>> logits;  ///< that predict them, [T, V] of each model, in their order
};

/// Work on predictions; stops the visit by failing.
using PredictionVisitor = std::function<Status(const Predictions& predictions)>;

/// Runs `models` (of the same vocabulary) side by side over the windows of `text` and visits every prediction once, in
/// order. Only a piece of a window's logits is in memory at a time. Fails when the text is empty or holds ids outside
/// the vocabulary, when a model has no BOS, when the cache type does not fit, when logits are not finite, when stopped.
Status visit_predictions(std::span<Model* const> models, const EvalText& text, const WindowOptions& options,
                         const EvalProgress& progress, const PredictionVisitor& visit);

}  // namespace carat
