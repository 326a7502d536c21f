#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>

#include "commands.h"

namespace carat {
namespace {

/// The trainer is a program of its own beside this one: libtorch takes 150 MB and half a second to load, which whoever
/// only runs a model should not pay.
Status become_trainer(std::vector<std::string> arguments) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string trainer = (self.parent_path() / "carat-train").string();
  std::vector<char*> pointers = {trainer.data()};
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execv(trainer.c_str(), pointers.data());
  return failed(trainer + ": cannot be started: " + std::strerror(errno) +
                "; build with libtorch (-DCARAT_TRAIN=ON) to have the trainer");
}

}  // namespace

void add_train_command(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("train", "Trains a model: quantization-aware with distillation, or from scratch");
  command->set_help_flag();
  command->prefix_command();
  command->callback(
      [command, &chosen] { chosen = [arguments = command->remaining()] { return become_trainer(arguments); }; });
}

}  // namespace carat
