#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace carat {

/// Runs this same program with other arguments in a process of its own, so that its peak memory is its own, and
/// waits for it. Its standard error is ours. Returns what it wrote to standard output; its failure becomes an error
/// of the same kind.
Result<std::string> run_own_command(const std::vector<std::string>& arguments);

}  // namespace carat
