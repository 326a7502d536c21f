#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "eval/cache_statistics.h"

namespace carat {

/// How a model's keys, values and inputs fit their static scales.
struct StaticFit {
  std::vector<CacheFit> cache;
  std::vector<InputFit> inputs;
};

/// For `--json`.
nlohmann::ordered_json fit_json(const StaticFit& fit);

/// A table of the cache, with what to do about scales that do not fit, and a line about the inputs.
void print_fit(const StaticFit& fit);

}  // namespace carat
