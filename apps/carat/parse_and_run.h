#pragma once

#include "commands.h"

namespace carat {

/// Parses the command line with `app`, whose callbacks put the work into `chosen`, and does it. Prints what goes wrong
/// to standard error as `carat: MESSAGE` and returns the exit code: 0 done, 1 the work failed, 2 wrong usage, 3 a file
/// or model was refused, 130 interrupted.
int parse_and_run(CLI::App& app, const Work& chosen, int argc, char** argv);

}  // namespace carat
