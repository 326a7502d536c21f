#include "text/chat.h"

#include <algorithm>

#include "text/chat_writer.h"

namespace carat {

Result<ChatFormat> ChatFormat::create(const Tokenizer& tokenizer, const Vocabulary& vocabulary,
                                      const TemplateRevision& revision) {
  ChatFormat format(tokenizer, vocabulary, revision);
  for (size_t index = 0; index < kChatPieces; ++index) {
    const auto piece = static_cast<ChatPiece>(index);
    if (format.pieces_.id(piece) < 0) {
      return refused("vocabulary: has no special piece " + std::string(chat_piece_text(piece)) +
                     "; expected an instruction model of Gemma 4's form");
    }
  }
  return format;
}

ChatFormat::ChatFormat(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const TemplateRevision& revision)
    : tokenizer_(&tokenizer), revision_(revision), pieces_(tokenizer, vocabulary), stop_(vocabulary.stop) {
  for (const int32_t id :
       {tokenizer.eos(), pieces_.id(ChatPiece::kTurnClose), pieces_.id(ChatPiece::kToolResponseOpen)}) {
    if (id >= 0) stop_.push_back(id);
  }
  std::ranges::sort(stop_);
  stop_.erase(std::ranges::unique(stop_).begin(), stop_.end());
}

Result<ChatText> ChatFormat::chat_text(std::span<const ChatMessage> messages, const ChatOptions& options,
                                       bool wants_answer) const {
  if (options.thinking && !has_thinking()) return wrong_usage("thinking: " + thinking_refusal_);
  const auto is_about_tools = [](const ChatMessage& message) {
    return message.role == ChatRole::kTool || (message.role == ChatRole::kModel && !message.calls.empty());
  };
  if (!has_tools() && (!options.tools.empty() || std::ranges::any_of(messages, is_about_tools))) {
    return wrong_usage("tools: " + tools_refusal_);
  }
  return write_chat(messages, options, wants_answer, revision_);
}

Result<std::vector<int32_t>> ChatFormat::render(std::span<const ChatMessage> messages, const ChatOptions& options,
                                                bool wants_answer) const {
  CARAT_TRY(const ChatText text, chat_text(messages, options, wants_answer));
  std::vector<int32_t> ids;
  for (const ChatPart& part : text.parts()) {
    if (part.piece) {
      ids.push_back(pieces_.id(*part.piece));
    } else {
      const std::vector<int32_t> encoded = tokenizer_->encode(part.text);
      ids.insert(ids.end(), encoded.begin(), encoded.end());
    }
  }
  return ids;
}

Result<std::string> ChatFormat::render_text(std::span<const ChatMessage> messages, const ChatOptions& options,
                                            bool wants_answer) const {
  CARAT_TRY(const ChatText text, chat_text(messages, options, wants_answer));
  return text.spelled();
}

}  // namespace carat
