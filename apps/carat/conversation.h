#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "answer_progress.h"
#include "base/result.h"
#include "session/generate.h"
#include "session/session.h"
#include "text/chat.h"
#include "text/chat_answer.h"
#include "text/tokenizer.h"

namespace carat {

/// Who follows an answer. All are called in the thread that asked for it.
struct AnswerListener {
  std::function<bool(const AnswerEvent&, const AnswerProgress&)> on_event;  ///< returns whether to go on
  std::function<void(int64_t done, int64_t total)> on_read;                 ///< prompt tokens fed of those to feed
  std::function<bool()> interrupted;                                        ///< looked at between parts of the prompt
};

struct AnswerLimits {
  int64_t tokens = 0;             ///< most to generate
  int64_t batch = 1;              ///< prompt tokens to feed at once; between two batches an interruption is noticed
  std::vector<std::string> stop;  ///< texts that end an answer and do not belong to it
};

/// What the model gave for an answer.
struct Answer {
  Generation generation;
  ChatMessage message;  ///< text, thought and calls
};

/// The messages of a chat, and the session that has seen them. Before each answer the whole conversation is written
/// anew, for earlier thoughts do not stay in it; the session keeps what has not changed.
class Conversation {
 public:
  /// All arguments outlive the conversation. `format` is of `tokenizer`.
  Conversation(Session& session, const Tokenizer& tokenizer, const ChatFormat& format)
      : session_(session), tokenizer_(tokenizer), format_(format) {}

  /// The system text, if any, is the first message.
  const std::vector<ChatMessage>& messages() const { return messages_; }
  const ChatOptions& options() const { return options_; }
  int64_t context() const { return session_.context(); }
  /// Positions of the context that are taken.
  int64_t position() const { return session_.position(); }
  uint64_t cache_bytes() const { return session_.cache_bytes(); }

  /// Takes these messages and options in place of its own. Refuses what the format cannot write; then nothing changes.
  Status set(std::vector<ChatMessage> messages, ChatOptions options);

  /// Adds a message that wants an answer: a user's, or the result of a tool.
  void add(ChatMessage message) { messages_.push_back(std::move(message)); }

  /// Answers, and adds the answer to the messages if it is more than a thought. An interruption is no error: the
  /// answer ends there, before its first token perhaps. Wrong usage: a conversation that the context cannot hold.
  Result<Answer> answer(const AnswerLimits& limits, const AnswerListener& listener);

  /// Takes back what follows the last user message. Returns whether there is such a message.
  bool take_back_answer();

  /// Takes back the last user message and what follows it. Returns whether there was one.
  bool take_back_turn();

 private:
  Status check_room(size_t prompt) const;
  Result<std::span<const int32_t>> feed(std::span<const int32_t> ids, int64_t batch, const AnswerListener& listener,
                                        Generation& generation);

  Session& session_;
  const Tokenizer& tokenizer_;
  const ChatFormat& format_;
  std::vector<ChatMessage> messages_;
  ChatOptions options_;
};

}  // namespace carat
