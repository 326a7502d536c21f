#pragma once

#include <atomic>
#include <string>

#include "base/result.h"
#include "session/generate.h"
#include "session/session.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace carat {

/// A chat by lines: each line of standard input is a message, each answer goes to standard output. Ends with the
/// input. On a terminal it shows where to type.
///
/// Only what is new is fed: the session keeps all earlier turns.
class Conversation {
 public:
  /// All arguments outlive the conversation. `system` may be empty.
  Conversation(Session& session, const Tokenizer& tokenizer, const ChatFormat& format, std::string system);

  /// `options.tokens` bounds each answer.
  Status run(const GenerationOptions& options, const std::atomic<bool>& interrupted);

 private:
  /// The ids that bring the session from the end of the last answer to the begin of the next one.
  Result<std::vector<int32_t>> turn(const std::string& message) const;

  Session& session_;
  const Tokenizer& tokenizer_;
  const ChatFormat& format_;
  std::string system_;
  int32_t last_id_ = -1;  // of the last answer; none before the first
};

}  // namespace carat
