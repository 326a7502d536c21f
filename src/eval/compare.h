#pragma once

#include <vector>

#include "base/result.h"
#include "base/threads.h"
#include "eval/comparison.h"
#include "eval/eval_text.h"
#include "eval/reference_logits.h"
#include "eval/windows.h"
#include "model/model.h"

namespace carat {

/// What models are evaluated on, and how.
struct EvalTask {
  const EvalText& text;
  WindowOptions windows;
  ThreadPool& threads;  ///< figures do not depend on how many there are
  EvalProgress progress;
};

/// The figures of a text.
struct TextComparison {
  Comparison whole;
  std::vector<Comparison> categories;  ///< in the order of `EvalText::categories`; each has documents
};

/// How `model` predicts the text of `task`, without a reference.
Result<TextComparison> evaluate_model(Model& model, const EvalTask& task);

/// The same beside `reference`, another model that runs at the same time. Refuses models of different vocabularies, and
/// says where they differ.
Result<TextComparison> compare_models(Model& model, Model& reference, const EvalTask& task);

/// The same with the logits of a reference that ran before. Refuses logits of something else
/// (`ReferenceLogits::check`).
Result<TextComparison> compare_with_logits(Model& model, const ReferenceLogits& reference, const EvalTask& task);

/// Runs `reference` over the text of `task` and keeps its logits in a file.
Status save_reference(Model& reference, const LogitsOrigin& origin, const EvalTask& task,
                      const std::filesystem::path& path);

/// What a file of the logits that `reference` gives for `task` says about itself. Refuses windows that leave nothing to
/// predict.
Result<LogitsHeader> logits_header(const Model& reference, const LogitsOrigin& origin, const EvalTask& task);

/// Succeeds when both vocabularies give every id the same piece.
Status check_same_vocabulary(const Vocabulary& model, const Vocabulary& reference);

}  // namespace carat
