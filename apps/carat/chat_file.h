#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/chat_message.h"

namespace carat {

/// A conversation as /save writes it:
///
///     {"carat_chat": 1, "messages": [
///       {"role": "system", "text": "..."},
///       {"role": "user", "text": "..."},
///       {"role": "model", "thought": "...", "calls": [{"name": "...", "arguments": {...}}], "text": "..."},
///       {"role": "tool", "name": "...", "result": ...}]}
///
/// Members that are empty are left out.
std::string chat_to_json(const std::vector<ChatMessage>& messages);

/// Reads it back. `source` names it in messages. Refuses what is not of this form, and values nested more deeply than
/// any tool needs; whether the roles can follow each other is for the chat format to say.
Result<std::vector<ChatMessage>> chat_from_json(std::string_view text, const std::string& source);

/// The file appears whole or not at all.
Status save_chat(const std::filesystem::path& path, const std::vector<ChatMessage>& messages);
Result<std::vector<ChatMessage>> load_chat(const std::filesystem::path& path);

}  // namespace carat
