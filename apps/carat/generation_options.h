#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"
#include "model/cache.h"
#include "session/generate.h"
#include "session/session.h"

namespace CLI {
class App;
}

namespace carat {

/// What every command that generates text takes, as it was given on the command line.
struct GenerationFlags {
  std::optional<int64_t> tokens;  ///< the command has its own default
  int64_t context = 0;            ///< 0: the model's own
  int64_t batch = kChunkTokens;   ///< for `Model::load`
  std::string cache_type = "f32";
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  SamplingOptions sampling;  ///< what has the same default for every model
  std::vector<std::string> logit_bias;
  std::vector<std::string> stop;
  std::string chat_template = "auto";
};

/// Adds the options to a subcommand; `flags` outlive the parsing.
void add_generation_options(CLI::App& command, GenerationFlags& flags);

/// The options of a session: what is not given is as the model's own configuration says. Wrong usage: a logit bias that
/// is no ID=VALUE.
Result<SessionOptions> session_options(const GenerationFlags& flags, const SamplingDefaults& defaults);

}  // namespace carat
