#include "text/chat_pieces.h"

#include <algorithm>

namespace carat {
namespace {

constexpr std::array<std::string_view, kChatPieces> kPieceTexts = {
    "<bos>",   "<|turn>",      "<turn|>",      "<|think|>",        "<|channel>",       "<channel|>", "<|tool>",
    "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>",
};

}  // namespace

std::string_view chat_piece_text(ChatPiece piece) { return kPieceTexts[static_cast<size_t>(piece)]; }

ChatText& ChatText::operator<<(ChatPiece piece) {
  parts_.push_back({piece, {}});
  return *this;
}

ChatText& ChatText::operator<<(std::string_view text) {
  if (text.empty()) return *this;
  if (parts_.empty() || parts_.back().piece) parts_.push_back({});
  parts_.back().text += text;
  return *this;
}

std::string ChatText::spelled() const {
  std::string text;
  for (const ChatPart& part : parts_) text += part.piece ? chat_piece_text(*part.piece) : part.text;
  return text;
}

ChatPieceIds::ChatPieceIds(const Tokenizer& tokenizer, const Vocabulary& vocabulary) {
  for (size_t index = 0; index < kChatPieces; ++index) {
    const int32_t id = tokenizer.find(kPieceTexts[index]);
    ids_[index] = id >= 0 && is_special_piece(vocabulary, id) ? id : -1;
  }
}

std::optional<ChatPiece> ChatPieceIds::piece(int32_t id) const {
  const auto found = std::ranges::find(ids_, id);
  if (id < 0 || found == ids_.end()) return std::nullopt;
  return static_cast<ChatPiece>(found - ids_.begin());
}

}  // namespace carat
