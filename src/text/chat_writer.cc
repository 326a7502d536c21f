#include "text/chat_writer.h"

#include <string>
#include <string_view>

#include "base/utf8.h"
#include "formats/quote.h"
#include "text/chat_declaration.h"
#include "text/chat_grammar.h"
#include "text/chat_values.h"

namespace carat {
namespace {

std::string message_number(size_t index) { return "message " + std::to_string(index + 1); }

Status check_model_message(const ChatMessage& message, size_t index) {
  for (const ToolCall& call : message.calls) {
    const std::string what = message_number(index) + ": the call of " + printable(call.name);
    if (call.name.empty()) return wrong_usage(message_number(index) + ": a call without a name");
    if (!call.arguments.is_object()) return wrong_usage(what + ": expected an object of arguments");
    CARAT_TRY_STATUS(check_value(call.arguments, what));
  }
  return success();
}

// `called`: the message before, tool results left out, asks for tools.
Status check_message(const ChatMessage& message, size_t index, bool called) {
  switch (message.role) {
    case ChatRole::kSystem:
      if (index > 0) return wrong_usage(message_number(index) + ": a system message can only come first");
      return success();
    case ChatRole::kUser:
      return success();
    case ChatRole::kModel:
      return check_model_message(message, index);
    case ChatRole::kTool:
      if (!called) return wrong_usage(message_number(index) + ": a tool's result can only follow a call");
      return check_value(message.result, message_number(index) + ": the result");
  }
  return success();
}

Status check_messages(std::span<const ChatMessage> messages, bool wants_answer) {
  bool called = false;
  for (size_t index = 0; index < messages.size(); ++index) {
    const ChatMessage& message = messages[index];
    CARAT_TRY_STATUS(check_message(message, index, called));
    if (message.role != ChatRole::kTool) called = message.role == ChatRole::kModel && !message.calls.empty();
  }
  if (wants_answer && called && messages.back().role != ChatRole::kTool) {
    return wrong_usage(message_number(messages.size() - 1) +
                       ": its call has no result yet; an answer can only follow the result");
  }
  return success();
}

Status check_options(const ChatOptions& options, const TemplateRevision& revision) {
  if (options.keep_thoughts && !revision.can_keep_thoughts) {
    return wrong_usage("keep_thoughts: the chat template of " + std::string(revision.name) + " has no such switch");
  }
  for (const ToolDeclaration& tool : options.tools) {
    const std::string what = "tool " + printable(tool.name) + ": parameters";
    if (!tool.parameters.is_object()) return wrong_usage(what + ": expected a JSON schema, an object");
    CARAT_TRY_STATUS(check_value(tool.parameters, what));
  }
  return success();
}

std::string trimmed(std::string_view text) { return std::string(trim_white_space(to_valid_utf8(text))); }

// Writes checked messages one after the other; tool results with the call that they follow.
class ChatWriter {
 public:
  ChatWriter(std::span<const ChatMessage> messages, const ChatOptions& options, const TemplateRevision& revision)
      : messages_(messages), options_(options), revision_(revision), values_({.writes_null = revision.writes_null}) {
    for (size_t index = 0; index < messages.size(); ++index) {
      if (messages[index].role == ChatRole::kUser) last_user_ = static_cast<int64_t>(index);
    }
  }

  ChatText write(bool wants_answer) {
    out_ << ChatPiece::kBegin;
    const bool has_system = !messages_.empty() && messages_.front().role == ChatRole::kSystem;
    if (has_system || options_.thinking || !options_.tools.empty()) write_system(has_system);
    for (size_t index = has_system ? 1 : 0; index < messages_.size();) index = write_message(index);
    if (wants_answer) write_answer_opening();
    return std::move(out_);
  }

 private:
  enum class LastPart { kText, kCalls, kResults };

  void open_turn(ChatRole role) { out_ << ChatPiece::kTurnOpen << chat_role_name(role) << kNewline; }
  void close_turn() { out_ << ChatPiece::kTurnClose << kNewline; }
  void write_thought(std::string_view thought) {
    out_ << ChatPiece::kChannelOpen << kThoughtLine << thought << kNewline << ChatPiece::kChannelClose;
  }
  void write_empty_thought() { out_ << ChatPiece::kChannelOpen << kThoughtLine << ChatPiece::kChannelClose; }

  void write_system(bool has_system) {
    open_turn(ChatRole::kSystem);
    if (options_.thinking) out_ << ChatPiece::kThink << (revision_.newline_after_think ? kNewline : "");
    if (has_system) out_ << trimmed(messages_.front().text);
    for (const ToolDeclaration& tool : options_.tools) write_declaration(tool, revision_, out_);
    close_turn();
  }

  // The index of the next message that is not a result of this one's calls.
  size_t after_results(size_t index) const {
    size_t next = index + 1;
    while (next < messages_.size() && messages_[next].role == ChatRole::kTool) ++next;
    return next;
  }

  size_t write_message(size_t index) {
    const ChatMessage& message = messages_[index];
    const size_t next = after_results(index);
    const bool is_model = message.role == ChatRole::kModel;
    if (!(is_model && within_model_turn_ && revision_.joins_turns)) open_turn(message.role);
    last_part_ = LastPart::kText;
    if (is_model) write_model_parts(index, next);
    const std::string text = is_model ? without_thoughts(to_valid_utf8(message.text)) : trimmed(message.text);
    out_ << text;
    const bool has_text = revision_.ignores_blank_text ? !text.empty() : !message.text.empty();
    write_end(next, has_text, is_model);
    within_model_turn_ = is_model;
    return next;
  }

  void write_model_parts(size_t index, size_t next) {
    const ChatMessage& message = messages_[index];
    if (shows_thought(message, index)) write_thought(message.thought);
    for (const ToolCall& call : message.calls) write_call(call, values_, out_);
    if (!message.calls.empty()) last_part_ = LastPart::kCalls;
    for (const ChatMessage& result : messages_.subspan(index + 1, next - index - 1)) {
      write_result(result_name(result, message), result.result, values_, out_);
      last_part_ = LastPart::kResults;
    }
  }

  bool shows_thought(const ChatMessage& message, size_t index) const {
    if (message.thought.empty() || revision_.shown_thoughts == ShownThoughts::kNone) return false;
    const bool calls = !message.calls.empty();
    if (options_.keep_thoughts && calls) return true;
    const bool is_recent = static_cast<int64_t>(index) > last_user_;
    return is_recent && (calls || revision_.shown_thoughts == ShownThoughts::kAll);
  }

  void write_end(size_t next, bool has_text, bool is_model) {
    const bool is_last = next == messages_.size();
    if (last_part_ == LastPart::kCalls && revision_.opens_missing_result) {
      out_ << ChatPiece::kToolResponseOpen;
      return;
    }
    const bool goes_on = is_model && !is_last && messages_[next].role == ChatRole::kModel;
    if (revision_.closes_once && goes_on) return;
    const bool stays_open = last_part_ == LastPart::kResults && !has_text && (is_last || !revision_.closes_once);
    if (!stays_open) close_turn();
  }

  void write_answer_opening() {
    if (last_part_ != LastPart::kResults) open_turn(ChatRole::kModel);
    const bool after_results = last_part_ == LastPart::kResults;
    if (options_.thinking) {
      if (after_results && revision_.opens_thought_after_results) out_ << ChatPiece::kChannelOpen << kThoughtLine;
    } else if (revision_.size == ChatSize::kLarge && (!after_results || revision_.empties_thought_after_results)) {
      write_empty_thought();
    }
  }

  std::span<const ChatMessage> messages_;
  const ChatOptions& options_;
  const TemplateRevision& revision_;
  ValueStyle values_;
  int64_t last_user_ = -1;  // index of the last user message
  bool within_model_turn_ = false;
  LastPart last_part_ = LastPart::kText;
  ChatText out_;
};

}  // namespace

std::string without_thoughts(std::string_view text) {
  const std::string_view open = chat_piece_text(ChatPiece::kChannelOpen);
  const std::string_view close = chat_piece_text(ChatPiece::kChannelClose);
  std::string kept;
  for (;;) {
    const size_t end = text.find(close);
    const std::string_view part = text.substr(0, end);
    kept += part.substr(0, part.find(open));
    if (end == std::string_view::npos) return std::string(trim_white_space(kept));
    text.remove_prefix(end + close.size());
  }
}

std::string_view result_name(const ChatMessage& message, const ChatMessage& caller) {
  for (const ToolCall& call : caller.calls) {
    if (!call.id.empty() && call.id == message.call_id) return call.name;
  }
  return message.tool_name.empty() ? kUnknownTool : std::string_view(message.tool_name);
}

Result<ChatText> write_chat(std::span<const ChatMessage> messages, const ChatOptions& options, bool wants_answer,
                            const TemplateRevision& revision) {
  CARAT_TRY_STATUS(check_options(options, revision));
  CARAT_TRY_STATUS(check_messages(messages, wants_answer));
  return ChatWriter(messages, options, revision).write(wants_answer);
}

}  // namespace carat
