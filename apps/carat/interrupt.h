#pragma once

#include <atomic>

namespace carat {

/// From now on the first Ctrl-C (SIGINT, SIGTERM) only makes the returned flag true, so that the work can end in
/// good order; the second one ends the process at once.
const std::atomic<bool>& watch_interrupts();

/// What a chat has to know of, where Ctrl-C stops an answer and not the program.
struct ChatSignals {
  std::atomic<bool>& interrupted;  ///< every SIGINT makes it true; whoever has seen it makes it false again
  const std::atomic<bool>& ended;  ///< SIGTERM or SIGHUP: the program has to end in good order
};

/// From now on these signals only make flags true.
ChatSignals watch_chat_signals();

}  // namespace carat
