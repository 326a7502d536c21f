#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "generation_options.h"
#include "model/model.h"
#include "model_options.h"
#include "ops/ops.h"
#include "session/plan.h"
#include "session/session.h"
#include "text/tokenizer.h"

namespace carat {

/// A model's file, and what the process takes with it: of the weights nothing is in memory yet.
struct OpenModel {
  Checkpoint checkpoint;  ///< without the pieces of its vocabulary
  Tokenizer tokenizer;
  ProcessBytes process;
};

/// For a process of `threads` threads.
Result<OpenModel> open_model(const std::filesystem::path& path, int threads);

/// A model with all that generating text takes, as the command line wants it.
struct LoadedModel {
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Model> model;
  std::unique_ptr<Session> session;
  MemoryPlan plan;
  double seconds = 0.0;  ///< from opening the file to being ready for a prompt
};

/// How many positions the session needs at least, as far as that is known before it begins.
using PositionsNeeded = std::function<int64_t(const Tokenizer&)>;

/// Opens the model and makes it ready. With --max-memory all sizes are decided, or the model refused, before anything
/// of it but its vocabulary is in memory (see `choose_within`); the context is then no smaller than `needed` says.
Result<LoadedModel> load_model(const ModelOptions& options, const GenerationFlags& flags,
                               const PositionsNeeded& needed = nullptr);

}  // namespace carat
