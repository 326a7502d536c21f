#pragma once

#include <string>

namespace carat {

/// "carat 0.1.0", as `--version` prints it and as the checkpoints that this program writes name it.
std::string program_version();

}  // namespace carat
