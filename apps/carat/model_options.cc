#include "model_options.h"

#include <CLI/CLI.hpp>

#include "base/cpu.h"
#include "kernels/select.h"

namespace carat {
namespace {

constexpr int kMostThreads = 1024;

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("-m,--model", options.model, "A .gguf file or a HuggingFace folder")
      ->required()
      ->type_name("MODEL");
  command.add_option("-t,--threads", options.threads, "Threads; as many as there are cores when not given")
      ->check(CLI::Range(1, kMostThreads))
      ->type_name("N");
}

Result<std::unique_ptr<Ops>> create_ops(int threads) {
  CARAT_TRY(const Kernels* kernels, select_kernels());
  return std::make_unique<Ops>(*kernels, threads > 0 ? threads : available_cores());
}

}  // namespace carat
