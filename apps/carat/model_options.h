#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/result.h"
#include "model/model.h"
#include "ops/ops.h"

namespace CLI {
class App;
}

namespace carat {

inline constexpr int kMostThreads = 1024;

/// What every command that computes with a model takes.
struct ModelOptions {
  std::filesystem::path model;
  int threads = 0;             ///< 0: as many as there are cores
  uint64_t max_memory = 0;     ///< most bytes that the process may hold; 0: any number
  Quantizers quantizers = {};  ///< of linear layers that have static ones
};

inline constexpr const char* kModelHelp = "A .gguf file, a HuggingFace folder or a .litertlm bundle";

/// Adds `-m`, `-t` and `--max-memory` to a subcommand; `options` outlive the parsing.
void add_model_options(CLI::App& command, ModelOptions& options);

/// Adds `-t` and `--max-memory` alone.
void add_compute_options(CLI::App& command, ModelOptions& options);

/// Adds `--no-input-quantizers` and `--no-output-quantizers`.
void add_quantizer_options(CLI::App& command, ModelOptions& options);

/// The operations that a command's models run on: the kernel table that suits this machine, and its threads.
Result<std::unique_ptr<Ops>> create_ops(int threads);

}  // namespace carat
