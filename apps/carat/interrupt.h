#pragma once

#include <atomic>

namespace carat {

/// From now on the first Ctrl-C (SIGINT, SIGTERM) only makes the returned flag true, so that the work can end in
/// good order; the second one ends the process at once.
const std::atomic<bool>& watch_interrupts();

}  // namespace carat
