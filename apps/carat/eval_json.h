#pragma once

#include <nlohmann/json.hpp>

#include "evaluation.h"

namespace carat {

/// What an evaluation prints with `--json` (docs/cli.md): of one model an object; of several an object with a list
/// `models` of such objects; without models, when it has only written the logits of a reference, what is known of
/// these.
nlohmann::ordered_json to_json(const EvalSetting& setting, const std::vector<ModelEvaluation>& models);

}  // namespace carat
