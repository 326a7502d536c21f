#include "conversation.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "stream_output.h"

namespace carat {
namespace {

constexpr std::string_view kTurnClose = "<turn|>";

bool is_blank(const std::string& line) {
  const std::string text = to_valid_utf8(line);
  return trim_white_space(text).empty();
}

}  // namespace

Conversation::Conversation(Session& session, const Tokenizer& tokenizer, const ChatFormat& format, std::string system)
    : session_(session), tokenizer_(tokenizer), format_(format), system_(std::move(system)) {}

Result<std::vector<int32_t>> Conversation::turn(const std::string& message) const {
  std::vector<ChatMessage> messages;
  const bool first = last_id_ < 0;
  if (first && !system_.empty()) messages.push_back({"system", system_});
  messages.push_back({"user", message});
  CARAT_TRY(const std::vector<int32_t> rendered, format_.render(messages, true));
  if (first) return rendered;

  // An answer that was cut off has not closed its turn.
  std::vector<int32_t> ids;
  if (const int32_t close = tokenizer_.find(kTurnClose); last_id_ != close) ids.push_back(close);
  const std::vector<int32_t> newline = tokenizer_.encode("\n");
  ids.insert(ids.end(), newline.begin(), newline.end());
  ids.insert(ids.end(), rendered.begin() + 1, rendered.end());  // without <bos>
  return ids;
}

Status Conversation::run(const GenerationOptions& options, const std::atomic<bool>& interrupted) {
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) std::fputs("Type a message and press Enter; Ctrl-D ends the chat.\n", stderr);
  for (std::string line;;) {
    if (terminal) std::fputs("\n> ", stderr);
    const bool read = static_cast<bool>(std::getline(std::cin, line));
    if (interrupted) return Error{ErrorKind::kInterrupted, "interrupted"};
    if (!read) return success();
    if (is_blank(line)) continue;

    CARAT_TRY(const std::vector<int32_t> prompt, turn(line));
    CARAT_TRY(const Generation generation, stream_generation(session_, tokenizer_, prompt, options, interrupted));
    if (interrupted) return Error{ErrorKind::kInterrupted, "interrupted"};
    if (generation.stop_reason == StopReason::kContext) {
      return failed("the chat has filled the context of " + std::to_string(session_.context()) +
                    " positions; begin a new one, or choose a larger -c");
    }
    if (!generation.tokens.empty()) last_id_ = generation.tokens.back();
  }
}

}  // namespace carat
