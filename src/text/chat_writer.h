#pragma once

#include <span>

#include "base/result.h"
#include "text/chat_message.h"
#include "text/chat_pieces.h"
#include "text/chat_revision.h"

namespace carat {

/// A conversation as a revision of the template writes it, from `<bos>` on; with `wants_answer` also what stands before
/// an answer. See `ChatFormat::render` for what is wrong usage.
Result<ChatText> write_chat(std::span<const ChatMessage> messages, const ChatOptions& options, bool wants_answer,
                            const TemplateRevision& revision);

/// `text` as it is shown in later turns: without what stands between `<|channel>` and `<channel|>`, spelled out in it,
/// and without white space at both ends. `text` must be valid UTF-8.
std::string without_thoughts(std::string_view text);

/// The name of the tool whose result `message` is, when the model's message `caller` asked for it: that of the call
/// with the message's `call_id`, or else its `tool_name`, or else "unknown".
std::string_view result_name(const ChatMessage& message, const ChatMessage& caller);

}  // namespace carat
