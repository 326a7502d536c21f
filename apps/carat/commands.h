#pragma once

#include <functional>

#include "base/result.h"

namespace CLI {
class App;
}

namespace carat {

/// What the chosen subcommand does, once the whole command line is understood. Results go to standard output,
/// everything else to standard error; the error, if any, is printed by main.
using Work = std::function<Status()>;

/// Each adds one subcommand with its options to `app`. When the command line names it, parsing puts its work into
/// `chosen`, which outlives the parsing.
void add_new_command(CLI::App& app, Work& chosen);
void add_convert_command(CLI::App& app, Work& chosen);
void add_verify_command(CLI::App& app, Work& chosen);
void add_run_command(CLI::App& app, Work& chosen);
void add_chat_command(CLI::App& app, Work& chosen);
void add_eval_command(CLI::App& app, Work& chosen);
void add_inspect_command(CLI::App& app, Work& chosen);
void add_plan_command(CLI::App& app, Work& chosen);
/// In a build without libtorch these two say so and fail.
void add_train_command(CLI::App& app, Work& chosen);
void add_demo_command(CLI::App& app, Work& chosen);

}  // namespace carat
