#pragma once

#include <string>
#include <vector>

#include "evaluation.h"

namespace carat {

/// What was evaluated, and how: lines of text, windows, reference.
std::string setting_text(const EvalSetting& setting);

/// The figures as tables for people, a row for each model and below it one for each category, with the warnings.
std::string evaluation_text(const EvalSetting& setting, const std::vector<ModelEvaluation>& models);

}  // namespace carat
