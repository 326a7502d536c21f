#include "model_options.h"

#include <CLI/CLI.hpp>

#include "base/cpu.h"
#include "kernels/select.h"
#include "numbers.h"

namespace carat {

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("-m,--model", options.model, kModelHelp)->required()->type_name("MODEL");
  add_compute_options(command, options);
}

void add_compute_options(CLI::App& command, ModelOptions& options) {
  command.add_option("-t,--threads", options.threads, "Threads; as many as there are cores when not given")
      ->check(CLI::Range(1, kMostThreads))
      ->type_name("N");
  command
      .add_option("--max-memory", options.max_memory,
                  "Most memory to hold, such as 950M or 1.5GiB: what was not asked for becomes smaller, and what "
                  "cannot fit is refused before it begins")
      ->transform(size_in_bytes())
      ->type_name("SIZE");
}

void add_quantizer_options(CLI::App& command, ModelOptions& options) {
  command.add_flag("!--no-input-quantizers", options.quantizers.inputs,
                   "Leave out the static quantizers in front of linear layers, to find where a difference comes from");
  command.add_flag("!--no-output-quantizers", options.quantizers.outputs, "Leave out those behind them");
}

Result<std::unique_ptr<Ops>> create_ops(int threads) {
  CARAT_TRY(const Kernels* kernels, select_kernels());
  return std::make_unique<Ops>(*kernels, threads > 0 ? threads : available_cores());
}

}  // namespace carat
