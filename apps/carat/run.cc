#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <optional>

#include "base/file_map.h"
#include "base/memory.h"
#include "chat.h"
#include "commands.h"
#include "figures.h"
#include "formats/quote.h"
#include "generation_options.h"
#include "interrupt.h"
#include "loaded_model.h"
#include "model_options.h"
#include "npy_file.h"
#include "numbers.h"
#include "one_answer.h"
#include "output.h"
#include "plan_rows.h"
#include "session/generate.h"

namespace carat {
namespace {

constexpr size_t kPromptLimit = size_t{64} << 20;

struct RunOptions {
  ChatFlags flags;
  std::optional<std::string> prompt;
  std::filesystem::path prompt_file;
  std::optional<std::string> token_ids;
  bool chat = false;
  bool json = false;
  std::filesystem::path logits;
};

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

Result<std::string> read_prompt(const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  if (!options.prompt_file.empty()) {
    CARAT_TRY(std::string text, read_text_file(options.prompt_file, kPromptLimit));
    return without_last_newline(std::move(text));
  }
  return without_last_newline(std::string(std::istreambuf_iterator<char>(std::cin), {}));
}

Result<std::string> prompt_text(const RunOptions& options) {
  CARAT_TRY(std::string text, read_prompt(options));
  if (text.empty()) return wrong_usage("the prompt is empty: give a text with -p, with -f or on standard input");
  return text;
}

/// "2,10,11". Whether a vocabulary has the ids is not looked at.
Result<std::vector<int32_t>> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const std::string_view number = text.substr(0, text.find(','));
    text.remove_prefix(std::min(number.size() + 1, text.size()));
    if (parse_number(number, ids.emplace_back())) continue;
    return wrong_usage("--token-ids: expected ids with commas between them, such as 2,10,11; found " +
                       in_quotes(number));
  }
  return ids;
}

/// What the answer follows: ids as they are, or a text.
struct Prompt {
  std::optional<std::vector<int32_t>> ids;
  std::string text;
};

Result<Prompt> read_any_prompt(const RunOptions& options) {
  Prompt prompt;
  if (options.token_ids) {
    CARAT_TRY(prompt.ids, parse_ids(*options.token_ids));
  } else {
    CARAT_TRY(prompt.text, prompt_text(options));
  }
  return prompt;
}

std::vector<int32_t> prompt_ids(const Prompt& prompt, const Tokenizer& tokenizer) {
  if (prompt.ids) return *prompt.ids;
  std::vector<int32_t> ids = {tokenizer.bos()};
  const std::vector<int32_t> encoded = tokenizer.encode(prompt.text);
  ids.insert(ids.end(), encoded.begin(), encoded.end());
  return ids;
}

/// What the context is not made smaller than: the prompt, in a chat with its turns, and the answer.
int64_t positions_needed(const RunOptions& options, const Prompt& prompt, const Tokenizer& tokenizer) {
  constexpr int64_t kTurns = 64;
  int64_t positions = static_cast<int64_t>(prompt_ids(prompt, tokenizer).size());
  if (options.chat) positions += static_cast<int64_t>(tokenizer.encode(options.flags.system).size()) + kTurns;
  return positions + std::min(options.flags.generation.tokens.value_or(kAnswerTokens), kLongestContext);
}

nlohmann::ordered_json calls_json(const std::vector<ToolCall>& calls) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ToolCall& call : calls) list.push_back({{"name", call.name}, {"arguments", call.arguments}});
  return list;
}

nlohmann::ordered_json to_json(const Answer& answer, const LoadedModel& loaded, bool chat) {
  const nlohmann::json none;
  const Generation& generation = answer.generation;
  nlohmann::ordered_json json = {{"tokens", generation.tokens}, {"text", answer.message.text}};
  if (chat) {
    json["thought"] = answer.message.thought;
    json["tool_calls"] = calls_json(answer.message.calls);
  }
  json["prefill_tokens_per_s"] = generation.prefill_tokens_per_s();
  json["decode_tokens_per_s"] = generation.decode_tokens_per_s();
  json["load_seconds"] = loaded.seconds;
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["planned_bytes"] = to_json(loaded.plan);
  json["stop_reason"] = stop_reason_name(generation.stop_reason);
  json["stop_string"] = generation.stop_string.empty() ? none : nlohmann::json(generation.stop_string);
  return json;
}

void print_timings(const Generation& generation) {
  std::fprintf(stderr, "prompt %lld tokens, %s/s; answer %zu tokens, %s/s; peak memory %s\n",
               static_cast<long long>(generation.prefill_tokens), rate_text(generation.prefill_tokens_per_s()).c_str(),
               generation.tokens.size(), rate_text(generation.decode_tokens_per_s()).c_str(),
               bytes_text(peak_rss_bytes()).c_str());
}

/// What follows a prompt that is no message of a chat.
Result<Answer> go_on_from_prompt(const RunOptions& options, const Prompt& prompt, const LoadedModel& loaded) {
  const GenerationFlags& flags = options.flags.generation;
  const std::atomic<bool>& interrupted = watch_interrupts();
  CARAT_TRY(StopStrings stop_strings, StopStrings::create(flags.stop));
  Answer answer;
  Status written = success();
  const auto take = [&](std::string_view part) {
    answer.message.text += part;
    if (!options.json && written.ok()) written = write_output(part);
    return written.ok() && !interrupted;
  };
  CARAT_TRY(answer.generation, generate_text(*loaded.session, *loaded.tokenizer, prompt_ids(prompt, *loaded.tokenizer),
                                             {.tokens = flags.tokens.value_or(kAnswerTokens),
                                              .stop = loaded.model->vocabulary().stop,
                                              .interrupted = [&] { return interrupted.load(); }},
                                             std::move(stop_strings), take));
  if (!options.json && written.ok()) written = write_output("\n");
  CARAT_TRY_STATUS(std::move(written));
  return answer;
}

Result<Answer> answer(const RunOptions& options, const Prompt& prompt, const LoadedModel& loaded) {
  if (!options.chat) return go_on_from_prompt(options, prompt, loaded);
  return answer_message(options.flags, loaded, prompt.text, !options.json);
}

Status answer_prompt(const RunOptions& options, const Prompt& prompt, const LoadedModel& loaded) {
  CARAT_TRY(const Answer answered, answer(options, prompt, loaded));
  if (options.json) {
    CARAT_TRY_STATUS(write_output_json(to_json(answered, loaded, options.chat)));
  } else {
    print_timings(answered.generation);
  }
  if (answered.generation.stop_reason == StopReason::kInterrupted) return Error{ErrorKind::kInterrupted, "interrupted"};
  return success();
}

Status answer_prompt_with_logits(const RunOptions& options, const Prompt& prompt, const LoadedModel& loaded) {
  CARAT_TRY(NpyFile file, NpyFile::create(options.logits, loaded.tokenizer->size()));
  loaded.session->set_logits_sink([&file](std::span<const float> logits) { return file.append(logits); });
  const Status answered = answer_prompt(options, prompt, loaded);
  if (!answered.ok() && answered.error().kind != ErrorKind::kInterrupted) return answered;
  CARAT_TRY_STATUS(file.finish());
  return answered;
}

Status check_options(const RunOptions& options, bool conversation) {
  if (conversation && options.json) return wrong_usage("--json needs a prompt: give one with -p, -f or --token-ids");
  if (conversation && !options.logits.empty()) {
    return wrong_usage("--logits needs a prompt: give one with -p, -f or --token-ids");
  }
  const bool chats = options.chat || conversation;
  if (!options.flags.system.empty() && !chats) return wrong_usage("--system needs --chat");
  if (options.flags.think && !chats) return wrong_usage("--think needs --chat");
  return success();
}

Status answer_once(const RunOptions& options) {
  CARAT_TRY(const Prompt prompt, read_any_prompt(options));
  CARAT_TRY(const LoadedModel loaded,
            load_model(options.flags.model, options.flags.generation,
                       [&](const Tokenizer& by) { return positions_needed(options, prompt, by); }));
  return options.logits.empty() ? answer_prompt(options, prompt, loaded)
                                : answer_prompt_with_logits(options, prompt, loaded);
}

Status run(const RunOptions& options) {
  const bool conversation = is_conversation(options);
  CARAT_TRY_STATUS(check_options(options, conversation));
  return conversation ? run_chat(options.flags) : answer_once(options);
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
  command.add_option("--system", options.flags.system, "What a chat begins with")->type_name("TEXT");
  command.add_flag("--think", options.flags.think, "In a chat, let the model think before it answers");
  prompt->excludes(file)->excludes(ids);
  file->excludes(ids);
  chat->excludes(ids);
}

}  // namespace

void add_run_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Generates text, or chats");
  add_model_options(*command, options->flags.model);
  add_quantizer_options(*command, options->flags.model);
  add_prompt_options(*command, *options);
  add_generation_options(*command, options->flags.generation);
  command->add_flag("--json", options->json, "Write one JSON object instead of the text");
  command->add_option("--logits", options->logits, "Write the logits of each position fed, float32 [positions, V]")
      ->type_name("OUT.npy");
  command->footer(
      "Without a prompt it reads one from standard input; on a terminal it begins a chat.\n"
      "-n is 256 when it is not given; in a chat as many as the context holds.\n"
      "What is not given of --temp, --top-k and --top-p is as the model's own configuration says.");
  command->callback([options, &chosen] { chosen = [options] { return run(*options); }; });
}

}  // namespace carat
