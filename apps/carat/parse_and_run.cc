#include "parse_and_run.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <new>

namespace carat {
namespace {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kFailed:
      return 1;
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kRefused:
      return 3;
    case ErrorKind::kInterrupted:
      return 130;
  }
  return 1;
}

int report(const Error& error) {
  std::fprintf(stderr, "carat: %s\n", error.message.c_str());
  return exit_code(error.kind);
}

int run(const Work& work) {
  try {
    const Status status = work();
    return status.ok() ? 0 : report(status.error());
  } catch (const std::bad_alloc&) {
    return report(failed("there is not enough memory for this model; close other programs or choose a smaller -c"));
  }
}

}  // namespace

int parse_and_run(CLI::App& app, const Work& chosen, int argc, char** argv) {
  // Whoever started us may have blocked the signal; a reader that went away then would be an error to report.
  std::signal(SIGPIPE, SIG_DFL);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version come as errors of code 0.
    if (error.get_exit_code() == 0) return app.exit(error);
    return report(wrong_usage(std::string(error.what()) + "; see " + app.get_name() + " --help"));
  }
  return run(chosen);
}

}  // namespace carat
