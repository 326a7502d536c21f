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
  std::optional<int64_t> tokens;          ///< the command has its own default
  int64_t context = 0;                    ///< 0: the model's own
  std::optional<int64_t> batch;           ///< kChunkTokens when not given
  std::optional<std::string> cache_type;  ///< the model's own when not given
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

/// How the options of sampling were given: what was not is as the model's own configuration says. Wrong usage: a logit
/// bias that is no ID=VALUE.
Result<SamplingOptions> sampling_options(const GenerationFlags& flags, const SamplingDefaults& defaults);

/// Adds `--cache-type` to a subcommand.
void add_cache_type_option(CLI::App& command, std::optional<std::string>& cache_type);

}  // namespace carat
