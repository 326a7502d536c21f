#pragma once

#include <string>
#include <vector>

#include "eval/report.h"

/// The plots of the report, each with its caption as HTML; empty where there is nothing to show.

namespace carat {

/// How often KL divergences of every size came, a line for each model.
std::string histogram_figure(const EvalReport& report);

/// Mean KL divergence against bytes, a mark for each model.
std::string size_figure(const EvalReport& report);

/// Error of each tensor against its sensitivity; the first `kNumberedTensors` of `ranked`, which is in falling order of
/// divergence, carry their rank.
std::string sensitivity_figure(const std::vector<TensorSensitivity>& ranked);
inline constexpr size_t kNumberedTensors = 10;

}  // namespace carat
