#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"
#include "text/tokenizer.h"

namespace carat {

/// The special pieces of Gemma 4's chat format. Rendering writes them and parsing reads them; no text is ever one.
enum class ChatPiece : uint8_t {
  kBegin,              ///< <bos>
  kTurnOpen,           ///< <|turn>
  kTurnClose,          ///< <turn|>
  kThink,              ///< <|think|>: turns thinking on
  kChannelOpen,        ///< <|channel>
  kChannelClose,       ///< <channel|>
  kToolOpen,           ///< <|tool>: a declaration
  kToolClose,          ///< <tool|>
  kToolCallOpen,       ///< <|tool_call>
  kToolCallClose,      ///< <tool_call|>
  kToolResponseOpen,   ///< <|tool_response>
  kToolResponseClose,  ///< <tool_response|>
  kQuote,              ///< <|"|>: at both ends of a string
};
inline constexpr size_t kChatPieces = 13;

/// The piece as a vocabulary and a template spell it.
std::string_view chat_piece_text(ChatPiece piece);

/// Plain text, or one special piece.
struct ChatPart {
  std::optional<ChatPiece> piece;
  std::string text;  ///< empty for a piece

  bool operator==(const ChatPart&) const = default;
};

/// A text with special pieces in it. Texts that follow each other are one part.
class ChatText {
 public:
  ChatText& operator<<(ChatPiece piece);
  ChatText& operator<<(std::string_view text);

  const std::vector<ChatPart>& parts() const { return parts_; }
  bool empty() const { return parts_.empty(); }
  /// As a template writes it: each piece spelled out.
  std::string spelled() const;

  bool operator==(const ChatText&) const = default;

 private:
  std::vector<ChatPart> parts_;
};

/// The ids of the pieces in one vocabulary.
class ChatPieceIds {
 public:
  /// Pieces that the vocabulary lacks, or has as ordinary text, have no id. `tokenizer` must be of `vocabulary`.
  ChatPieceIds(const Tokenizer& tokenizer, const Vocabulary& vocabulary);

  /// -1 when the vocabulary lacks the piece.
  int32_t id(ChatPiece piece) const { return ids_[static_cast<size_t>(piece)]; }
  std::optional<ChatPiece> piece(int32_t id) const;

 private:
  std::array<int32_t, kChatPieces> ids_;
};

}  // namespace carat
