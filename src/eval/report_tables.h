#pragma once

#include <string>
#include <vector>

#include "eval/report.h"

/// The tables of the report as HTML.

namespace carat {

/// The categories of the text in the order in which the models have them, without the whole.
std::vector<std::string> categories_of(const EvalReport& report);

/// A row for each model that has this slice, "" for the whole, below one of the reference where there is one.
std::string figures_table(const EvalReport& report, const std::string& category);

/// `ranked` is in falling order of divergence.
std::string sensitivity_table(const std::vector<TensorSensitivity>& ranked);

}  // namespace carat
