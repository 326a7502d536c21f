#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"
#include "text/chat_message.h"
#include "text/chat_pieces.h"
#include "text/chat_revision.h"
#include "text/tokenizer.h"

namespace carat {

/// Gemma 4's chat format:
///
///     <bos><|turn>system\n{<|think|>\n}{text}{<|tool>declaration<tool|>...}<turn|>\n
///     <|turn>user\n{text}<turn|>\n
///     <|turn>model\n{thought}{calls}{results}{text}<turn|>\n
///
/// without the line breaks of this picture. docs/chat.md has the details. Texts are encoded as plain text, inside
/// arguments, results and declarations too, so that none can write a special piece.
class ChatFormat {
 public:
  /// The format of one revision. Refuses a vocabulary that lacks one of the special pieces of `ChatPiece`. `tokenizer`
  /// must be of `vocabulary` and outlive the format. `choose_chat_format` (text/chat_template.h) also looks at the
  /// file's own template.
  static Result<ChatFormat> create(const Tokenizer& tokenizer, const Vocabulary& vocabulary,
                                   const TemplateRevision& revision = latest_revision(ChatSize::kSmall));

  /// The ids of a conversation, with exactly one `<bos>`; then what stands before an answer, when one is wanted.
  /// After tool results the model's turn simply goes on. Wrong usage, with the number of the message: a system message
  /// that is not the first, a result that follows no call, an answer wanted to a call without results, arguments that
  /// are not an object or nested too deeply, what this format refuses.
  Result<std::vector<int32_t>> render(std::span<const ChatMessage> messages, const ChatOptions& options,
                                      bool wants_answer) const;

  /// The same with special pieces spelled out, as the file's template would write it.
  Result<std::string> render_text(std::span<const ChatMessage> messages, const ChatOptions& options,
                                  bool wants_answer) const;

  /// The ids that end an answer: those of the vocabulary, `<eos>`, `<turn|>`, `<|tool_response>`; in order of id.
  const std::vector<int32_t>& stop() const { return stop_; }

  const TemplateRevision& revision() const { return revision_; }
  const ChatPieceIds& pieces() const { return pieces_; }
  /// Whether thinking can be asked for, and tools.
  bool has_thinking() const { return thinking_refusal_.empty(); }
  bool has_tools() const { return tools_refusal_.empty(); }

  /// One sentence for people: which format this is and why.
  const std::string& description() const { return description_; }
  void set_description(std::string description) { description_ = std::move(description); }
  /// From then on `render` refuses thinking or tools, with that reason.
  void refuse_thinking(std::string reason) { thinking_refusal_ = std::move(reason); }
  void refuse_tools(std::string reason) { tools_refusal_ = std::move(reason); }

 private:
  ChatFormat(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const TemplateRevision& revision);

  Result<ChatText> chat_text(std::span<const ChatMessage> messages, const ChatOptions& options,
                             bool wants_answer) const;

  const Tokenizer* tokenizer_;
  TemplateRevision revision_;
  ChatPieceIds pieces_;
  std::vector<int32_t> stop_;
  std::string description_;
  std::string thinking_refusal_;
  std::string tools_refusal_;
};

}  // namespace carat
