#include "interrupt.h"

#include <csignal>

namespace carat {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<bool> ended{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal may set it at any time");

// Without SA_RESTART a wait for input ends too.
void handle(int signal_number, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal_number, &action, nullptr);
}

void note_interrupt(int) { interrupted = true; }
void note_end(int) { ended = true; }

}  // namespace

const std::atomic<bool>& watch_interrupts() {
  handle(SIGINT, note_interrupt, static_cast<int>(SA_RESETHAND));
  handle(SIGTERM, note_interrupt, static_cast<int>(SA_RESETHAND));
  return interrupted;
}

ChatSignals watch_chat_signals() {
  handle(SIGINT, note_interrupt, 0);
  handle(SIGTERM, note_end, 0);
  handle(SIGHUP, note_end, 0);
  return {.interrupted = interrupted, .ended = ended};
}

}  // namespace carat
