#include "chat_file.h"

#include "base/file_map.h"
#include "base/file_write.h"
#include "formats/quote.h"
#include "text/chat_values.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kVersionKey = "carat_chat";
constexpr int kVersion = 1;
constexpr size_t kLargestFile = size_t{64} << 20;

Json message_json(const ChatMessage& message) {
  Json json = {{"role", chat_role_name(message.role)}};
  if (message.role == ChatRole::kTool) {
    json["name"] = message.tool_name;
    json["result"] = message.result;
    return json;
  }
  if (!message.thought.empty()) json["thought"] = message.thought;
  for (const ToolCall& call : message.calls) {
    json["calls"].push_back({{"name", call.name}, {"arguments", call.arguments}});
  }
  json["text"] = message.text;
  return json;
}

const Json* member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

/// A text that is not there counts as empty.
Result<std::string> text_member(const Json& object, const char* key, const std::string& where) {
  const Json* value = member(object, key);
  if (value == nullptr) return std::string();
  if (value->is_string()) return value->get<std::string>();
  return refused(where + key + ": expected a string, found " + value->type_name());
}

/// Deeply nested values cannot even be copied safely, so this comes before they are touched.
Status check_depth(const Json& value, const std::string& what) {
  const Status checked = check_value(value, what);
  return checked.ok() ? success() : refused(checked.error().message);
}

Result<ToolCall> call_from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) return refused(where + "expected an object, found " + json.type_name());
  ToolCall call;
  CARAT_TRY(call.name, text_member(json, "name", where));
  const Json* arguments = member(json, "arguments");
  if (arguments == nullptr || !arguments->is_object()) return refused(where + "arguments: expected an object");
  CARAT_TRY_STATUS(check_depth(*arguments, where + "arguments"));
  call.arguments = *arguments;
  return call;
}

Result<ChatRole> role_from_json(const Json& json, const std::string& where) {
  CARAT_TRY(const std::string name, text_member(json, "role", where));
  if (const auto role = chat_role(name)) return *role;
  return refused(where + "role: expected system, user, model or tool, found " + in_quotes(name));
}

Result<ChatMessage> message_from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) return refused(where + "expected an object, found " + json.type_name());
  ChatMessage message;
  CARAT_TRY(message.role, role_from_json(json, where));
  CARAT_TRY(message.text, text_member(json, "text", where));
  CARAT_TRY(message.thought, text_member(json, "thought", where));
  CARAT_TRY(message.tool_name, text_member(json, "name", where));
  if (const Json* calls = member(json, "calls"); calls != nullptr) {
    if (!calls->is_array()) return refused(where + "calls: expected a list, found " + calls->type_name());
    for (const Json& call : *calls) {
      CARAT_TRY(message.calls.emplace_back(), call_from_json(call, where + "calls: "));
    }
  }
  if (const Json* result = member(json, "result"); result != nullptr) {
    CARAT_TRY_STATUS(check_depth(*result, where + "result"));
    message.result = *result;
  }
  return message;
}

}  // namespace

std::string chat_to_json(const std::vector<ChatMessage>& messages) {
  Json list = Json::array();
  for (const ChatMessage& message : messages) list.push_back(message_json(message));
  const Json json = {{kVersionKey, kVersion}, {"messages", std::move(list)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<std::vector<ChatMessage>> chat_from_json(std::string_view text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return refused(source + ": is no valid JSON");
  if (!json.is_object() || member(json, kVersionKey) == nullptr) return refused(source + ": is no chat of /save");
  if (*member(json, kVersionKey) != kVersion) return refused(source + ": is a chat that a later version has saved");
  const Json* list = member(json, "messages");
  if (list == nullptr || !list->is_array()) return refused(source + ": messages: expected a list");
  std::vector<ChatMessage> messages;
  for (const Json& item : *list) {
    const std::string where = source + ": message " + std::to_string(messages.size() + 1) + ": ";
    CARAT_TRY(messages.emplace_back(), message_from_json(item, where));
  }
  return messages;
}

Status save_chat(const std::filesystem::path& path, const std::vector<ChatMessage>& messages) {
  return write_file(path, chat_to_json(messages));
}

Result<std::vector<ChatMessage>> load_chat(const std::filesystem::path& path) {
  CARAT_TRY(const std::string text, read_text_file(path, kLargestFile));
  return chat_from_json(text, path.string());
}

}  // namespace carat
