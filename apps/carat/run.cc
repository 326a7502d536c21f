#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <optional>

#include "base/file_map.h"
#include "base/memory.h"
#include "commands.h"
#include "conversation.h"
#include "figures.h"
#include "formats/quote.h"
#include "interrupt.h"
#include "model_options.h"
#include "npy_file.h"
#include "output.h"
#include "session/generate.h"
#include "stream_output.h"
#include "text/chat.h"

namespace carat {
namespace {

constexpr int64_t kTokens = 256;
constexpr size_t kPromptLimit = size_t{64} << 20;

struct RunOptions {
  ModelOptions model;
  std::optional<std::string> prompt;
  std::filesystem::path prompt_file;
  std::optional<std::string> token_ids;
  std::optional<int64_t> tokens;
  int64_t context = 0;
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  uint64_t seed = 0;
  bool chat = false;
  std::string system;
  bool json = false;
  std::filesystem::path logits;
};

SamplingOptions sampling_options(const RunOptions& options, const SamplingDefaults& defaults) {
  return {.temperature = options.temperature.value_or(defaults.temperature),
          .top_k = options.top_k.value_or(defaults.top_k),
          .top_p = options.top_p.value_or(defaults.top_p),
          .seed = options.seed};
}

/// Whether messages come from standard input, one after the other.
bool is_conversation(const RunOptions& options) {
  const bool has_prompt = options.prompt || !options.prompt_file.empty() || options.token_ids;
  return !has_prompt && (options.chat || isatty(STDIN_FILENO) == 1);
}

/// Files and pipes end with a newline that is no part of the prompt.
std::string without_last_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<std::string> prompt_text(const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  if (!options.prompt_file.empty()) {
    CARAT_TRY(std::string text, read_text_file(options.prompt_file, kPromptLimit));
    return without_last_newline(std::move(text));
  }
  return without_last_newline(std::string(std::istreambuf_iterator<char>(std::cin), {}));
}

/// "2,10,11". Whether a vocabulary has the ids is not looked at.
Result<std::vector<int32_t>> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const std::string_view number = text.substr(0, text.find(','));
    text.remove_prefix(std::min(number.size() + 1, text.size()));
    int32_t& id = ids.emplace_back();
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
    if (error == std::errc() && end == number.data() + number.size()) continue;
    return wrong_usage("--token-ids: expected ids with commas between them, such as 2,10,11; found " +
                       in_quotes(number));
  }
  return ids;
}

Result<std::vector<int32_t>> prompt_ids(const RunOptions& options, const Tokenizer& tokenizer,
                                        const std::optional<ChatFormat>& format) {
  if (options.token_ids) return parse_ids(*options.token_ids);
  CARAT_TRY(const std::string text, prompt_text(options));
  if (text.empty()) return wrong_usage("the prompt is empty: give a text with -p, with -f or on standard input");
  if (format) {
    std::vector<ChatMessage> messages;
    if (!options.system.empty()) messages.push_back({"system", options.system});
    messages.push_back({"user", text});
    return format->render(messages, true);
  }
  std::vector<int32_t> ids = {tokenizer.bos()};
  const std::vector<int32_t> encoded = tokenizer.encode(text);
  ids.insert(ids.end(), encoded.begin(), encoded.end());
  return ids;
}

nlohmann::ordered_json to_json(const Generation& generation, const Tokenizer& tokenizer) {
  return {{"tokens", generation.tokens},
          {"text", tokenizer.decode(generation.tokens)},
          {"prefill_tokens_per_s", generation.prefill_tokens_per_s()},
          {"decode_tokens_per_s", generation.decode_tokens_per_s()},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"stop_reason", stop_reason_name(generation.stop_reason)}};
}

void print_timings(const Generation& generation) {
  std::fprintf(stderr, "prompt %lld tokens, %s/s; answer %zu tokens, %s/s; peak memory %s\n",
               static_cast<long long>(generation.prefill_tokens), rate_text(generation.prefill_tokens_per_s()).c_str(),
               generation.tokens.size(), rate_text(generation.decode_tokens_per_s()).c_str(),
               bytes_text(peak_rss_bytes()).c_str());
}

Status answer_prompt(const RunOptions& options, Session& session, const Tokenizer& tokenizer,
                     std::span<const int32_t> prompt, const GenerationOptions& generation_options) {
  const std::atomic<bool>& interrupted = watch_interrupts();
  Generation generation;
  if (options.json) {
    CARAT_TRY(generation, generate(session, prompt, generation_options, [&](int32_t) { return !interrupted; }));
    CARAT_TRY_STATUS(write_output_json(to_json(generation, tokenizer)));
  } else {
    CARAT_TRY(generation, stream_generation(session, tokenizer, prompt, generation_options, interrupted));
    print_timings(generation);
  }
  if (generation.stop_reason == StopReason::kInterrupted) return Error{ErrorKind::kInterrupted, "interrupted"};
  return success();
}

Status answer_prompt_with_logits(const RunOptions& options, Session& session, const Tokenizer& tokenizer,
                                 std::span<const int32_t> prompt, const GenerationOptions& generation_options) {
  CARAT_TRY(NpyFile file, NpyFile::create(options.logits, tokenizer.size()));
  session.set_logits_sink([&file](std::span<const float> logits) { return file.append(logits); });
  const Status answered = answer_prompt(options, session, tokenizer, prompt, generation_options);
  if (!answered.ok() && answered.error().kind != ErrorKind::kInterrupted) return answered;
  CARAT_TRY_STATUS(file.finish());
  return answered;
}

Status check_options(const RunOptions& options, bool conversation) {
  if (conversation && options.json) return wrong_usage("--json needs a prompt: give one with -p, -f or --token-ids");
  if (conversation && !options.logits.empty()) {
    return wrong_usage("--logits needs a prompt: give one with -p, -f or --token-ids");
  }
  if (!options.system.empty() && !options.chat && !conversation) return wrong_usage("--system needs --chat");
  return success();
}

Status run(const RunOptions& options) {
  const bool conversation = is_conversation(options);
  CARAT_TRY_STATUS(check_options(options, conversation));
  CARAT_TRY(const std::unique_ptr<Ops> ops, create_ops(options.model.threads));
  CARAT_TRY(Model model, Model::load(options.model.model, *ops));
  const Vocabulary& vocabulary = model.vocabulary();
  CARAT_TRY(const Tokenizer tokenizer, Tokenizer::create(vocabulary));
  CARAT_TRY(Session session, Session::create(model, {.context = options.context,
                                                     .sampling = sampling_options(options, vocabulary.sampling)}));
  std::optional<ChatFormat> format;
  if (options.chat || conversation) {
    CARAT_TRY(format, ChatFormat::create(tokenizer, vocabulary));
  }
  GenerationOptions generation;
  generation.stop = format ? format->stop() : vocabulary.stop;
  generation.tokens = options.tokens.value_or(conversation ? session.context() : kTokens);
  if (conversation) {
    return Conversation(session, tokenizer, *format, options.system).run(generation, watch_interrupts());
  }
  CARAT_TRY(const std::vector<int32_t> prompt, prompt_ids(options, tokenizer, format));
  if (options.logits.empty()) return answer_prompt(options, session, tokenizer, prompt, generation);
  return answer_prompt_with_logits(options, session, tokenizer, prompt, generation);
}

void add_prompt_options(CLI::App& command, RunOptions& options) {
  CLI::Option* prompt = command.add_option("-p,--prompt", options.prompt, "The text to go on from")->type_name("TEXT");
  CLI::Option* file = command.add_option("-f,--file", options.prompt_file, "A file with the prompt")->type_name("FILE");
  CLI::Option* ids =
      command
          .add_option("--token-ids", options.token_ids, "The prompt as ids, such as 2,10,11; nothing is put in front")
          ->type_name("IDS");
  CLI::Option* chat = command.add_flag("--chat", options.chat,
                                       "Take the prompt for a user's message and answer it; without a prompt, answer "
                                       "each line of standard input");
  command.add_option("--system", options.system, "What a chat begins with")->type_name("TEXT");
  prompt->excludes(file)->excludes(ids);
  file->excludes(ids);
  chat->excludes(ids);
}

void add_sampling_options(CLI::App& command, RunOptions& options) {
  command.add_option("--temp", options.temperature, "Temperature; 0 takes the most likely token")->type_name("X");
  command.add_option("--top-k", options.top_k, "Keep the K most likely tokens; 0 keeps all")->type_name("K");
  command.add_option("--top-p", options.top_p, "Keep the most likely tokens up to this probability")->type_name("X");
  command.add_option("--seed", options.seed, "The same seed gives the same text")
      ->capture_default_str()
      ->type_name("N");
}

}  // namespace

void add_run_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Generates text, or chats");
  add_model_options(*command, options->model);
  add_prompt_options(*command, *options);
  command
      ->add_option("-n,--tokens", options->tokens,
                   "Most tokens to generate; 256, in a chat as many as the context holds")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  command
      ->add_option("-c,--context", options->context,
                   "Most positions, prompt and answers together; the model's own "
                   "when not given")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  add_sampling_options(*command, *options);
  command->add_flag("--json", options->json, "Write one JSON object instead of the text");
  command->add_option("--logits", options->logits, "Write the logits of each position fed, float32 [positions, V]")
      ->type_name("OUT.npy");
  command->footer(
      "Without a prompt it reads one from standard input; on a terminal it begins a chat.\n"
      "What is not given of --temp, --top-k and --top-p is as the model's own configuration says.");
  command->callback([options, &chosen] { chosen = [options] { return run(*options); }; });
}

}  // namespace carat
