#include "formats/pattern_effort.h"

#include <algorithm>

namespace carat {
namespace {

// Far more than published checkpoints take; a machine does at least 10^8 in a second.
constexpr uint64_t kMostSteps = uint64_t{1} << 30;

}  // namespace

Status check_pattern_effort(uint64_t instructions, uint64_t characters, const std::string& place) {
  if (instructions <= kMostSteps / std::max<uint64_t>(characters, 1)) return success();
  return refused(place + ": its regular expressions have " + std::to_string(instructions) +
                 " instructions, too many for names of " + std::to_string(characters) +
                 " characters together; expected a product of at most " + std::to_string(kMostSteps));
}

}  // namespace carat
