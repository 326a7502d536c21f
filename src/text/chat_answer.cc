#include "text/chat_answer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"
#include "text/chat_grammar.h"
#include "text/chat_values.h"

namespace carat {
namespace {

constexpr char kPieceStart = '<';  // of every spelled piece, and only at its start

// The piece that is spelled at the front of `text`.
std::optional<ChatPiece> piece_at_front(std::string_view text) {
  for (size_t index = 0; index < kChatPieces; ++index) {
    const auto piece = static_cast<ChatPiece>(index);
    if (text.starts_with(chat_piece_text(piece))) return piece;
  }
  return std::nullopt;
}

// Whether more bytes could make a piece of this.
bool could_become_piece(std::string_view text) {
  for (size_t index = 0; index < kChatPieces; ++index) {
    if (chat_piece_text(static_cast<ChatPiece>(index)).starts_with(text)) return true;
  }
  return false;
}

}  // namespace

bool ends_within_thought(std::span<const int32_t> prompt, const ChatPieceIds& pieces) {
  for (size_t at = prompt.size(); at-- > 0;) {
    const std::optional<ChatPiece> piece = pieces.piece(prompt[at]);
    if (piece == ChatPiece::kChannelOpen) return true;
    if (piece == ChatPiece::kChannelClose || piece == ChatPiece::kTurnOpen) return false;
  }
  return false;
}

AnswerStream::AnswerStream(const Tokenizer& tokenizer, const ChatPieceIds& pieces, bool within_thought)
    : tokenizer_(&tokenizer), pieces_(pieces), state_(within_thought ? State::kThought : State::kAnswer) {}

std::vector<AnswerEvent> AnswerStream::append(int32_t id) {
  if (const std::optional<ChatPiece> piece = pieces_.piece(id)) {
    read_piece(*piece);
  } else {
    std::string bytes;
    tokenizer_->append_bytes(id, ControlPieces::kSkip, bytes);
    read_bytes(bytes);
  }
  return std::exchange(events_, {});
}

std::vector<AnswerEvent> AnswerStream::append_text(std::string_view bytes) {
  spelled_ += bytes;
  read_spelled(false);
  return std::exchange(events_, {});
}

std::vector<AnswerEvent> AnswerStream::end() {
  read_spelled(true);
  flush_bytes();
  leave(false);
  return std::exchange(events_, {});
}

void AnswerStream::read_spelled(bool is_end) {
  std::string_view rest = spelled_;
  while (!rest.empty()) {
    if (const std::optional<ChatPiece> piece = piece_at_front(rest)) {
      read_piece(*piece);
      rest.remove_prefix(chat_piece_text(*piece).size());
      continue;
    }
    if (!is_end && could_become_piece(rest)) break;
    const std::string_view text = rest.substr(0, rest.find(kPieceStart, 1));
    read_bytes(text);
    rest.remove_prefix(text.size());
  }
  spelled_.erase(0, spelled_.size() - rest.size());
}

// Whole characters go on; the start of one waits.
void AnswerStream::read_bytes(std::string_view bytes) {
  bytes_ += bytes;
  read_text(take_whole_characters(bytes_));
}

void AnswerStream::flush_bytes() { read_text(to_valid_utf8(std::exchange(bytes_, {}))); }

void AnswerStream::read_text(std::string_view text) {
  if (text.empty()) return;
  switch (state_) {
    case State::kAnswer:
      return give(AnswerEvent::Kind::kText, text);
    case State::kChannelName:
      return read_channel_name(text);
    case State::kThought:
      return read_thought(text);
    case State::kCall:
      call_ << text;
  }
}

void AnswerStream::read_channel_name(std::string_view text) {
  held_ += text;
  if (kThoughtLine.starts_with(held_) && held_.size() < kThoughtLine.size()) return;
  const std::string line = std::exchange(held_, {});
  const bool is_thought = line.starts_with(kThoughtLine);
  state_ = is_thought ? State::kThought : State::kAnswer;
  read_text(std::string_view(line).substr(is_thought ? kThoughtLine.size() : 0));
}

// The last newline belongs to the end of the thought, if this is its end.
void AnswerStream::read_thought(std::string_view text) {
  std::string thought = std::exchange(held_, {});
  thought += text;
  if (thought.ends_with(kNewline)) {
    held_ = kNewline;
    thought.resize(thought.size() - kNewline.size());
  }
  give(AnswerEvent::Kind::kThought, thought);
}

void AnswerStream::read_piece(ChatPiece piece) {
  flush_bytes();
  if (state_ == State::kCall && read_call_piece(piece)) return;
  switch (piece) {
    case ChatPiece::kChannelOpen:
      if (state_ == State::kAnswer) state_ = State::kChannelName;
      return;
    case ChatPiece::kChannelClose:
      return leave(true);
    case ChatPiece::kToolCallOpen:
      leave(false);
      state_ = State::kCall;
      return;
    case ChatPiece::kTurnClose:
      leave(false);
      return give(AnswerEvent::Kind::kTurnEnd);
    case ChatPiece::kToolResponseOpen:
      leave(false);
      return give(AnswerEvent::Kind::kResultWanted);
    default:
      return;
  }
}

// Whether the piece belongs to the call: its end, or anything but the start of what comes after a call.
bool AnswerStream::read_call_piece(ChatPiece piece) {
  constexpr std::array kAfterCall = {ChatPiece::kTurnClose, ChatPiece::kToolResponseOpen, ChatPiece::kToolCallOpen};
  if (std::ranges::find(kAfterCall, piece) != kAfterCall.end()) return false;
  if (piece == ChatPiece::kToolCallClose) {
    finish_call(true);
  } else {
    call_ << piece;
  }
  return true;
}

// Ends a thought or a call and goes back to the answer; `closed` by its own piece.
void AnswerStream::leave(bool closed) {
  const std::string held = std::exchange(held_, {});
  const State left = std::exchange(state_, State::kAnswer);
  if (left == State::kCall) return finish_call(false);
  if (left == State::kThought && !closed) return give(AnswerEvent::Kind::kThought, held);
  const bool is_name = closed && held + std::string(kNewline) == kThoughtLine;
  if (left == State::kChannelName && !is_name) give(AnswerEvent::Kind::kText, held);
}

void AnswerStream::finish_call(bool closed) {
  state_ = State::kAnswer;
  const ChatText text = std::exchange(call_, {});
  Result<ToolCall> call = closed ? read_call(text) : failed("the answer went on before the call was closed");
  AnswerEvent event = {AnswerEvent::Kind::kCall, {}, std::nullopt, {}};
  if (call.ok()) {
    event.call = std::move(*call);
  } else {
    event.kind = AnswerEvent::Kind::kMalformedCall;
    event.text = text.spelled();
    event.error = call.error().message;
  }
  events_.push_back(std::move(event));
}

void AnswerStream::give(AnswerEvent::Kind kind, std::string_view text) {
  const bool is_text = kind == AnswerEvent::Kind::kText || kind == AnswerEvent::Kind::kThought;
  if (is_text && text.empty()) return;
  events_.push_back({kind, std::string(text), std::nullopt, {}});
}

}  // namespace carat
