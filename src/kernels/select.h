#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"

namespace carat {

/// The tables that this machine can execute, best first. The reference is always among them.
std::vector<const Kernels*> all_kernels();

/// One of `all_kernels()` by its name; wrong usage, naming the possible ones, when there is none.
Result<const Kernels*> kernels_named(std::string_view name);

/// What the environment variable CARAT_KERNELS names ("reference", "avx2"), or the best when it is not set.
Result<const Kernels*> select_kernels();

}  // namespace carat
