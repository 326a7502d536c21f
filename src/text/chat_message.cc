#include "text/chat_message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<std::string_view, ChatRole>, 6> kRoleNames = {{
    {"system", ChatRole::kSystem},
    {"developer", ChatRole::kSystem},
    {"user", ChatRole::kUser},
    {"model", ChatRole::kModel},
    {"assistant", ChatRole::kModel},
    {"tool", ChatRole::kTool},
}};

// The member of that name; nullptr where there is none or it is null.
const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool is_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  return !name.empty() && std::ranges::all_of(name, is_allowed);
}

bool is_list_of_texts(const Json& json) {
  return json.is_array() && std::ranges::all_of(json, [](const Json& item) { return item.is_string(); });
}

Status check_parameters(const Json& parameters, const std::string& source) {
  const auto refuse = [&](const char* what) { return wrong_usage(source + ": parameters: " + what); };
  if (!parameters.is_object()) return refuse("expected a JSON schema, an object");
  if (const Json* type = member(parameters, "type"); type != nullptr && *type != "object") {
    return refuse("expected a schema of type \"object\"");
  }
  if (const Json* properties = member(parameters, "properties"); properties != nullptr && !properties->is_object()) {
    return refuse("properties: expected an object");
  }
  if (const Json* required = member(parameters, "required"); required != nullptr && !is_list_of_texts(*required)) {
    return refuse("required: expected a list of names");
  }
  return success();
}

}  // namespace

std::optional<ChatRole> chat_role(std::string_view name) {
  const auto found = std::ranges::find(kRoleNames, name, [](const auto& entry) { return entry.first; });
  if (found == kRoleNames.end()) return std::nullopt;
  return found->second;
}

std::string_view chat_role_name(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return "system";
    case ChatRole::kUser:
      return "user";
    case ChatRole::kModel:
      return "model";
    case ChatRole::kTool:
      return "tool";
  }
  return {};
}

Result<ToolDeclaration> tool_from_json(const Json& json, const std::string& source) {
  if (!json.is_object()) return wrong_usage(source + ": expected an object that declares a tool");
  const Json* function = member(json, "function");
  if (function != nullptr && !function->is_object()) return wrong_usage(source + ": function: expected an object");
  const Json& tool = function != nullptr ? *function : json;

  ToolDeclaration declaration;
  const Json* name = member(tool, "name");
  if (name == nullptr || !name->is_string() || !is_name(name->get_ref<const std::string&>())) {
    return wrong_usage(source + ": name: expected a name of letters, digits, _, - and .");
  }
  declaration.name = name->get<std::string>();
  if (const Json* description = member(tool, "description")) {
    if (!description->is_string())
      return wrong_usage(source + ": " + declaration.name + ": description: expected a text");
    declaration.description = to_valid_utf8(description->get_ref<const std::string&>());
  }
  if (const Json* parameters = member(tool, "parameters")) {
    CARAT_TRY_STATUS(check_parameters(*parameters, source + ": " + declaration.name));
    declaration.parameters = *parameters;
    if (!parameters->empty()) declaration.parameters["type"] = "object";
  }
  return declaration;
}

Result<std::vector<ToolDeclaration>> tools_from_json(std::string_view text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_array()) return wrong_usage(source + ": expected a JSON list of tools");
  std::vector<ToolDeclaration> tools;
  for (const Json& item : json) {
    CARAT_TRY(ToolDeclaration tool, tool_from_json(item, source + ": tool " + std::to_string(tools.size() + 1)));
    if (std::ranges::find(tools, tool.name, &ToolDeclaration::name) != tools.end()) {
      return wrong_usage(source + ": two tools have the name " + tool.name);
    }
    tools.push_back(std::move(tool));
  }
  return tools;
}

}  // namespace carat
