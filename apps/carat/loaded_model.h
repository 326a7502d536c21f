#pragma once

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

/// A model with all that generating text takes, as the command line wants it.
struct LoadedModel {
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Session> session;
  MemoryPlan plan;
  double seconds = 0.0;  ///< from opening the file to being ready for a prompt
};

Result<LoadedModel> load_model(const ModelOptions& options, const GenerationFlags& flags);

}  // namespace carat
