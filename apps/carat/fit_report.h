#pragma once

#include <nlohmann/json.hpp>

#include "eval/cache_statistics.h"

namespace carat {

/// How keys, values and inputs fit their static scales, for `--json`.
nlohmann::ordered_json fit_json(const CacheStatistics& statistics);

/// The same as a table of the cache, with what to do about scales that do not fit, and a line about the inputs.
void print_fit(const CacheStatistics& statistics);

}  // namespace carat
