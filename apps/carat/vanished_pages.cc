#include "vanished_pages.h"

#include <unistd.h>

#include <csignal>
#include <string_view>

namespace carat {
namespace {

constexpr int kFailedExit = 1;

// In a signal handler only what needs no lock and no memory may be called.
void report(int signal_number, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) {
    raise(signal_number);  // pending until the handler returns; the default action then ends the process
    return;
  }
  constexpr std::string_view kMessage =
      "carat: the model file became shorter while it was in use, or its disk failed; copy it again\n";
  static_cast<void>(!write(STDERR_FILENO, kMessage.data(), kMessage.size()));
  _exit(kFailedExit);
}

}  // namespace

void report_vanished_pages() {
  struct sigaction action {};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace carat
