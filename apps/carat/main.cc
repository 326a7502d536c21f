#include <CLI/CLI.hpp>

#include "commands.h"
#include "parse_and_run.h"
#include "program_version.h"
#include "vanished_pages.h"

int main(int argc, char** argv) {
  carat::report_vanished_pages();
  CLI::App app(
      "Trains language models to survive quantization, and runs them.\n"
      "A MODEL is a .gguf file, a HuggingFace folder or a .litertlm bundle.",
      "carat");
  app.set_version_flag("--version", carat::program_version());
  app.require_subcommand(1);
  app.footer(
      "carat COMMAND --help lists a command's options.\n"
      "Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 a file or model was refused, 130 interrupted.");

  carat::Work chosen;
  carat::add_new_command(app, chosen);
  carat::add_convert_command(app, chosen);
  carat::add_verify_command(app, chosen);
  carat::add_run_command(app, chosen);
  carat::add_chat_command(app, chosen);
  carat::add_eval_command(app, chosen);
  carat::add_inspect_command(app, chosen);
  carat::add_plan_command(app, chosen);
  carat::add_train_command(app, chosen);
  carat::add_demo_command(app, chosen);
  return carat::parse_and_run(app, chosen, argc, argv);
}
