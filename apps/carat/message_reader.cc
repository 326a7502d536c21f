#include "message_reader.h"

#include <cstdio>
#include <iostream>
#include <utility>

#include "base/utf8.h"

namespace carat {
namespace {

constexpr const char* kPrompt = "> ";
constexpr const char* kMorePrompt = ". ";

bool is_blank(const std::string& text) { return trim_white_space(text).empty(); }

}  // namespace

Result<std::optional<TypedMessage>> MessageReader::read() {
  for (;;) {
    CARAT_TRY(const Step step, read_line());
    if (signals_.ended) return Error{ErrorKind::kInterrupted, "ended by a signal"};
    if (step == Step::kEnd) return std::optional<TypedMessage>();
    if (step == Step::kAgain) continue;
    message_.text = to_valid_utf8(message_.text);
    if (!is_blank(message_.text)) return std::optional<TypedMessage>(std::move(message_));
  }
}

std::optional<std::string> MessageReader::ask(const std::string& prompt) {
  signals_.interrupted = false;
  TypedLine line = editor_->read(prompt);
  if (line.kind != TypedLine::Kind::kLine) return std::nullopt;
  return to_valid_utf8(line.text);
}

Result<MessageReader::Step> MessageReader::read_line() {
  if (editor_) return read_typed_line();
  message_ = {};
  const bool read = static_cast<bool>(std::getline(std::cin, message_.text));
  if (signals_.interrupted) return Error{ErrorKind::kInterrupted, "interrupted"};
  return read ? Step::kMessage : Step::kEnd;
}

MessageReader::Step MessageReader::read_typed_line() {
  // From the line's end on, Ctrl-C means its answer.
  signals_.interrupted = false;
  const TypedLine line = editor_->read(lines_.waiting() ? kMorePrompt : kPrompt);
  if (line.kind == TypedLine::Kind::kEnd && !lines_.waiting()) return Step::kEnd;
  if (line.kind != TypedLine::Kind::kLine) {
    const bool idle = line.text.empty() && !lines_.waiting();
    if (idle && !signals_.ended) std::fputs("Ctrl-D or /exit leaves the chat\n", stderr);
    lines_.clear();
    return Step::kAgain;
  }
  if (!lines_.add(line.text)) return Step::kAgain;
  message_ = lines_.take();
  if (!is_blank(to_valid_utf8(message_.text))) editor_->remember(message_.text);
  return Step::kMessage;
}

}  // namespace carat
