#pragma once

#include <optional>
#include <string>
#include <vector>

#include "answer_view.h"
#include "base/result.h"
#include "chat_command.h"
#include "conversation.h"
#include "interrupt.h"
#include "message_reader.h"

namespace carat {

struct ChatLoopOptions {
  AnswerLimits limits;
  ViewOptions view;
  std::string introduction;  ///< about the model; lines that /stats shows again
};

/// Reads messages and commands, and shows answers, until the input ends. Where a person types there are commands, and
/// what goes wrong is said and the chat goes on. Elsewhere every line is a message, and the first error ends the chat.
class ChatLoop {
 public:
  /// The conversation outlives the loop.
  ChatLoop(Conversation& conversation, MessageReader reader, ChatSignals signals, ChatLoopOptions options);

  Status run();

 private:
  Status say(const std::string& text);
  Status answer();
  Result<bool> answer_once();
  Result<Generation> stream_answer();
  Status report(const Generation& generation, bool said_something);
  bool ask_for_results();

  // In chat_obey.cc. What a command finds wrong does not end the chat.
  Status obey(const ChatCommand& command);
  Status clear();
  Status change_system(const std::string& text);
  Status change_thinking(const std::string& how);
  void show_thoughts() const;
  void show_stats() const;
  Status save(const std::string& path) const;
  Status load(const std::string& path);
  Status regenerate();
  Status undo();
  std::vector<ChatMessage> system_message() const;

  Conversation& conversation_;
  MessageReader reader_;
  ChatSignals signals_;
  ChatLoopOptions options_;
  std::string last_thought_;
  std::string last_figures_;
};

}  // namespace carat
