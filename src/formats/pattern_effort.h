#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace carat {

/// Refuses regular expressions from a file that could take longer with its names than any checkpoint's do, which is
/// seconds. RE2 takes at most about one step for each instruction of an expression (`RE2::ProgramSize`) and each
/// character of a name; a name that is searched twice counts twice. `place` says in the message where they stand.
Status check_pattern_effort(uint64_t instructions, uint64_t characters, const std::string& place);

}  // namespace carat
