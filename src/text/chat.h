#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"
#include "text/tokenizer.h"

namespace carat {

/// One turn of a conversation.
struct ChatMessage {
  std::string role;  ///< system (or developer), user, model (or assistant)
  std::string text;
};

/// Gemma 4's chat format, without tools and with thinking off:
///
///     <bos><|turn>system\n{text}<turn|>\n<|turn>user\n{text}<turn|>\n<|turn>model\n{answer}<turn|>\n
///
/// White space at both ends of a text is left out. Texts are encoded as plain text, so that no message can write
/// a special piece.
class ChatFormat {
 public:
  /// Refuses a vocabulary without the pieces of turns. `tokenizer` must be of `vocabulary` and outlive the format.
  static Result<ChatFormat> create(const Tokenizer& tokenizer, const Vocabulary& vocabulary);

  /// The ids of a conversation, with exactly one `<bos>`; then `<|turn>model\n` when an answer is wanted. Wrong usage:
  /// an unknown role, or a system message that is not the first.
  Result<std::vector<int32_t>> render(std::span<const ChatMessage> messages, bool wants_answer) const;

  /// The ids that end an answer: those of the vocabulary, `<eos>`, `<turn|>`, `<|tool_response>`; in order of id.
  const std::vector<int32_t>& stop() const { return stop_; }

 private:
  ChatFormat(const Tokenizer& tokenizer, const Vocabulary& vocabulary);

  const Tokenizer* tokenizer_;
  int32_t turn_open_;
  int32_t turn_close_;
  std::vector<int32_t> stop_;
};

}  // namespace carat
