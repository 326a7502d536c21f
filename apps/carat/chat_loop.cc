#include "chat_loop.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/memory.h"
#include "figures.h"
#include "output.h"
#include "progress.h"

namespace carat {
namespace {

std::string figures_text(const Generation& generation, const Conversation& conversation) {
  return "prompt " + std::to_string(generation.prefill_tokens) + " tokens, " +
         rate_text(generation.prefill_tokens_per_s()) + "/s; answer " + std::to_string(generation.tokens.size()) +
         " tokens, " + rate_text(generation.decode_tokens_per_s()) + "/s; context " +
         std::to_string(conversation.position()) + " of " + std::to_string(conversation.context()) + "; peak memory " +
         bytes_text(peak_rss_bytes());
}

/// What a person typed as a tool's result: an object when it is one, or else a text.
nlohmann::ordered_json result_from(const std::string& typed) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(typed, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : nlohmann::ordered_json(typed);
}

}  // namespace

ChatLoop::ChatLoop(Conversation& conversation, MessageReader reader, ChatSignals signals, ChatLoopOptions options)
    : conversation_(conversation), reader_(std::move(reader)), signals_(signals), options_(std::move(options)) {}

Status ChatLoop::run() {
  if (reader_.interactive()) write_note("Type a message and press Enter; /help lists commands, Ctrl-D leaves.");
  for (;;) {
    if (options_.view.terminal) CARAT_TRY_STATUS(write_output("\n"));
    CARAT_TRY(const std::optional<TypedMessage> typed, reader_.read());
    if (!typed) return success();
    Status done = success();
    if (reader_.interactive() && !typed->quoted && is_chat_command(typed->text)) {
      Result<ChatCommand> command = parse_chat_command(typed->text);
      if (command.ok() && command->verb == ChatVerb::kExit) return success();
      done = command.ok() ? obey(*command) : Status(command.error());
    } else {
      done = say(typed->text);
    }
    if (signals_.ended) return Error{ErrorKind::kInterrupted, "ended by a signal"};
    if (done.ok()) continue;
    if (!reader_.interactive()) return done;
    write_note(done.error().message);
  }
}

Status ChatLoop::say(const std::string& text) {
  conversation_.add({.role = ChatRole::kUser, .text = text});
  return answer();
}

/// Answers the last message, and goes on as long as there are results of tools that the model waits for. A message that
/// gets no answer is taken back.
Status ChatLoop::answer() {
  for (bool go_on = true; go_on;) {
    Result<bool> answered = answer_once();
    if (!answered.ok()) {
      conversation_.take_back_turn();
      const char* outcome = reader_.interactive() ? "; the message is taken back (/clear begins anew)" : "";
      return Error{answered.error().kind, answered.error().message + outcome};
    }
    go_on = *answered && ask_for_results();
  }
  return success();
}

/// Returns whether the conversation has a new answer.
Result<bool> ChatLoop::answer_once() {
  const size_t before = conversation_.messages().size();
  CARAT_TRY(const Generation generation, stream_answer());
  const bool said_something = conversation_.messages().size() > before;
  if (!said_something) conversation_.take_back_turn();
  CARAT_TRY_STATUS(report(generation, said_something));
  return said_something;
}

Result<Generation> ChatLoop::stream_answer() {
  const HiddenTyping hidden;
  AnswerView view(options_.view);
  AnswerProgress last;
  Status written = success();
  const auto write = [&](const ViewText& text) {
    std::fputs(text.notice.c_str(), stderr);
    if (written.ok()) written = write_output(text.output);
  };
  std::optional<Progress> reading;
  std::string thought;
  const AnswerListener listener = {.on_event =
                                       [&](const AnswerEvent& event, const AnswerProgress& progress) {
                                         reading.reset();
                                         if (event.kind == AnswerEvent::Kind::kThought) thought += event.text;
                                         last = progress;
                                         write(view.show(event, progress));
                                         return written.ok();
                                       },
                                   .on_read =
                                       [&](int64_t done, int64_t total) {
                                         if (!reading) reading.emplace("reading", "tokens", total);
                                         reading->update(done);
                                       },
                                   .interrupted = [&] { return signals_.interrupted || signals_.ended; }};
  Result<Answer> answer = conversation_.answer(options_.limits, listener);
  reading.reset();
  if (!thought.empty()) last_thought_ = std::move(thought);
  if (answer.ok() && !answer->generation.tokens.empty()) write(view.end(last));
  CARAT_TRY_STATUS(std::move(written));
  CARAT_TRY(Answer given, std::move(answer));
  return std::move(given.generation);
}

Status ChatLoop::report(const Generation& generation, bool said_something) {
  last_figures_ = figures_text(generation, conversation_);
  write_note(isatty(STDERR_FILENO) == 1 ? dimmed(last_figures_, options_.view) : last_figures_);
  if (generation.stop_reason == StopReason::kLength) write_note("the answer was cut off at -n tokens");
  if (generation.stop_reason == StopReason::kContext) {
    const std::string full = "the context of " + std::to_string(conversation_.context()) + " positions is full";
    if (!reader_.interactive()) return failed(full + "; begin a new chat, or choose a larger -c");
    write_note(full + "; /clear begins a new conversation" +
               (said_something ? ", /undo takes the last message back" : ""));
  }
  if (!said_something) write_note("nothing was said; the message is taken back");
  if (generation.stop_reason == StopReason::kInterrupted && !reader_.interactive()) {
    return Error{ErrorKind::kInterrupted, "interrupted"};
  }
  return success();
}

/// Returns whether all calls of the last message have results now, so that the model can go on.
bool ChatLoop::ask_for_results() {
  const std::vector<ToolCall> calls = conversation_.messages().back().calls;
  if (calls.empty()) return false;
  if (conversation_.options().tools.empty()) {
    write_note("no tools are attached, so the call gets no result; --tools FILE attaches some");
    return false;
  }
  std::vector<ChatMessage> results;
  for (const ToolCall& call : calls) {
    const std::optional<std::string> typed = reader_.ask("result of " + without_controls(call.name) + "> ");
    if (!typed) {
      write_note("the call gets no result");
      return false;
    }
    results.push_back({.role = ChatRole::kTool, .tool_name = call.name, .result = result_from(*typed)});
  }
  for (ChatMessage& result : results) conversation_.add(std::move(result));
  return true;
}

}  // namespace carat
