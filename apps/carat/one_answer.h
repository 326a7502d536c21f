#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "chat.h"
#include "conversation.h"
#include "loaded_model.h"

namespace carat {

/// Most tokens of an answer to a single prompt, when -n is not given.
inline constexpr int64_t kAnswerTokens = 256;

/// Answers `text`, a user's message. With `writes_text` the answer's text goes to standard output as it comes, and its
/// thoughts to standard error if that is a terminal. Calls are told on standard error in any case.
Result<Answer> answer_message(const ChatFlags& flags, const LoadedModel& loaded, const std::string& text,
                              bool writes_text);

}  // namespace carat
