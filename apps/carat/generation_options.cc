#include "generation_options.h"

#include <CLI/CLI.hpp>
#include <string_view>

#include "formats/quote.h"
#include "numbers.h"

namespace carat {
namespace {

/// "106=-inf", "262=+1.5".
Result<LogitBias> parse_bias(std::string_view text) {
  const size_t equals = text.find('=');
  LogitBias bias;
  if (equals != std::string_view::npos) {
    std::string_view value = text.substr(equals + 1);
    if (value.starts_with('+')) value.remove_prefix(1);
    if (parse_number(text.substr(0, equals), bias.id) && parse_number(value, bias.value)) return bias;
  }
  return wrong_usage("--logit-bias: expected an id and what to add to its logit, such as 106=-inf or 262=+1.5; found " +
                     in_quotes(text));
}

void add_cuts(CLI::App& command, GenerationFlags& flags) {
  command.add_option("--temp", flags.temperature, "Temperature; 0 takes the most likely token")->type_name("X");
  command.add_option("--top-k", flags.top_k, "Keep the K most likely tokens; 0 keeps all")->type_name("K");
  command.add_option("--top-p", flags.top_p, "Keep the most likely tokens up to this probability")->type_name("X");
  command.add_option("--min-p", flags.sampling.min_p, "Keep tokens at least this part as likely as the likeliest")
      ->type_name("X");
  command.add_option("--seed", flags.sampling.seed, "The same seed gives the same text")
      ->check(seed_number())
      ->capture_default_str()
      ->type_name("N");
}

void add_penalties(CLI::App& command, GenerationFlags& flags) {
  SamplingOptions& sampling = flags.sampling;
  command.add_option("--repeat-penalty", sampling.repetition_penalty, "Makes what was said less likely; 1 is off")
      ->type_name("X");
  command.add_option("--presence-penalty", sampling.presence_penalty, "Subtracted from logits of what was said")
      ->type_name("X");
  command
      .add_option("--frequency-penalty", sampling.frequency_penalty, "Subtracted once for each time that it was said")
      ->type_name("X");
  command
      .add_option("--repeat-last-n", sampling.penalty_window,
                  "Ids that the penalties look back at; -1 for the whole conversation")
      ->capture_default_str()
      ->type_name("N");
  command.add_option("--logit-bias", flags.logit_bias, "Added to a token's logit; -inf bans it; may be repeated")
      ->allow_extra_args(false)
      ->type_name("ID=VALUE");
}

}  // namespace

void add_generation_options(CLI::App& command, GenerationFlags& flags) {
  command.add_option("-n,--tokens", flags.tokens, "Most tokens to generate")
      ->check(count_of_at_least(0))
      ->type_name("N");
  command
      .add_option("-c,--context", flags.context,
                  "Most positions, prompt and answers together; the model's own when not given")
      ->check(count_of_at_least(1))
      ->type_name("N");
  command
      .add_option("-b,--batch", flags.batch,
                  "Tokens of a prompt that are read at once; " + std::to_string(kChunkTokens) + " when not given")
      ->check(CLI::Range(int64_t{1}, kLargestBatch))
      ->type_name("N");
  add_cache_type_option(command, flags.cache_type);
  add_cuts(command, flags);
  add_penalties(command, flags);
  command
      .add_option("--chat-template", flags.chat_template,
                  "gemma4 takes Gemma 4's chat format whatever the file's own template says")
      ->check(CLI::IsMember({"auto", "gemma4"}))
      ->capture_default_str()
      ->type_name("auto|gemma4");
  command.add_option("--stop", flags.stop, "Text that ends an answer and is not written; may be repeated")
      ->allow_extra_args(false)
      ->type_name("TEXT");
}

void add_cache_type_option(CLI::App& command, std::optional<std::string>& cache_type) {
  command
      .add_option("--cache-type", cache_type,
                  "How keys and values are kept; int8 where the model was trained for it and f32 elsewhere when not "
                  "given")
      ->check(CLI::IsMember({"f32", "f16", "q8_0", "q4_0", "int8"}))
      ->type_name("f32|f16|q8_0|q4_0|int8");
}

Result<SamplingOptions> sampling_options(const GenerationFlags& flags, const SamplingDefaults& defaults) {
  SamplingOptions options = flags.sampling;
  options.temperature = flags.temperature.value_or(defaults.temperature);
  options.top_k = flags.top_k.value_or(defaults.top_k);
  options.top_p = flags.top_p.value_or(defaults.top_p);
  for (const std::string& text : flags.logit_bias) {
    CARAT_TRY(options.logit_bias.emplace_back(), parse_bias(text));
  }
  return options;
}

}  // namespace carat
