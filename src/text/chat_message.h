#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat {

/// Who speaks. A tool's result stands inside the model's turn.
enum class ChatRole { kSystem, kUser, kModel, kTool };

/// The role of that name: system or developer, user, model or assistant, tool. Nothing for another name.
std::optional<ChatRole> chat_role(std::string_view name);

/// The name that the model knows: "system", "user", "model"; "tool" for a result, which has no turn of its own.
std::string_view chat_role_name(ChatRole role);

/// A tool that the model asks for.
struct ToolCall {
  std::string name;
  nlohmann::ordered_json arguments = nlohmann::ordered_json::object();  ///< an object
  std::string id;  ///< the caller's name for this call; empty when there is none. The model never sees it.
};

/// One message of a conversation. Which members count depends on the role; the others are ignored.
struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string text;               ///< system, user, model: what is said; UTF-8, white space at both ends does not count
  std::string thought;            ///< model: what it thought before it spoke; most of it is not shown to it again
  std::vector<ToolCall> calls;    ///< model: asked for after the thought, several at once perhaps
  std::string tool_name;          ///< tool: whose result this is, unless `call_id` is that of a call
  std::string call_id;            ///< tool: the `ToolCall::id` that this answers; may be empty
  nlohmann::ordered_json result;  ///< tool: an object, or any other value, for instance a text
};

/// A tool that the model may ask for.
struct ToolDeclaration {
  std::string name;
  std::string description;
  /// JSON schema of the arguments, an object: {"type": "object", "properties": {...}, "required": [...]}; or empty.
  nlohmann::ordered_json parameters = nlohmann::ordered_json::object();
};

/// Reads a declaration as OpenAI's interface writes it, {"type": "function", "function": {"name", "description",
/// "parameters"}}, or the inner object alone. A schema without "type" is one of an object. Other members are ignored.
/// Wrong usage, with `source` in front of the message: a name that is missing or has other characters than letters,
/// digits, `_`, `-` and `.`, a member of another type, a schema of something else than an object.
Result<ToolDeclaration> tool_from_json(const nlohmann::ordered_json& json, const std::string& source);

/// Reads a JSON array of declarations. Wrong usage: what is not JSON, two tools of one name, and as above.
Result<std::vector<ToolDeclaration>> tools_from_json(std::string_view text, const std::string& source);

/// What a conversation is rendered with.
struct ChatOptions {
  bool thinking = false;  ///< the model thinks before it answers
  /// Also show the thoughts of earlier turns that called tools; for models whose template knows the switch.
  bool keep_thoughts = false;
  std::vector<ToolDeclaration> tools;  ///< what the model may ask for
};

}  // namespace carat
