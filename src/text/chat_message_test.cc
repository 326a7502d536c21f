#include "text/chat_message.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

std::string refusal(const char* text) {
  const auto tools = tools_from_json(text, "tools.json");
  if (tools.ok()) return "read " + std::to_string(tools->size());
  EXPECT_EQ(tools.error().kind, ErrorKind::kUsage);
  return tools.error().message;
}

TEST(ChatRoles, KnowTheirNames) {
  EXPECT_EQ(chat_role("system"), ChatRole::kSystem);
  EXPECT_EQ(chat_role("developer"), ChatRole::kSystem);
  EXPECT_EQ(chat_role("user"), ChatRole::kUser);
  EXPECT_EQ(chat_role("model"), ChatRole::kModel);
  EXPECT_EQ(chat_role("assistant"), ChatRole::kModel);
  EXPECT_EQ(chat_role("tool"), ChatRole::kTool);
  for (const char* name : {"", "User", "narrator"}) EXPECT_EQ(chat_role(name), std::nullopt);
  for (const ChatRole role : {ChatRole::kSystem, ChatRole::kUser, ChatRole::kModel, ChatRole::kTool}) {
    EXPECT_EQ(chat_role(chat_role_name(role)), role);
  }
}

TEST(ChatTools, AreReadFromTheOuterAndTheInnerObject) {
  const char* text = R"([
    {"type": "function", "function": {"name": "get.it-2", "description": "Gets it.", "strict": true,
                                      "parameters": {"properties": {"a": {"type": "string"}}, "required": ["a"]}}},
    {"name": "now", "description": null, "parameters": {}},
    {"name": "later", "parameters": null}])";
  const std::vector<ToolDeclaration> tools = tools_from_json(text, "tools.json").value();
  ASSERT_EQ(tools.size(), 3u);
  EXPECT_EQ(tools[0].name, "get.it-2");
  EXPECT_EQ(tools[0].description, "Gets it.");
  EXPECT_EQ(tools[0].parameters["type"], "object");
  EXPECT_EQ(tools[0].parameters["required"], Json({"a"}));
  EXPECT_EQ(tools[1].description, "");
  EXPECT_EQ(tools[1].parameters, Json::object());
  EXPECT_EQ(tools[2].parameters, Json::object());
  EXPECT_EQ(refusal("[]"), "read 0");
}

TEST(ChatTools, AreRefusedByName) {
  EXPECT_EQ(refusal("[{]"), "tools.json: expected a JSON list of tools");
  EXPECT_EQ(refusal("{}"), "tools.json: expected a JSON list of tools");
  EXPECT_EQ(refusal("[3]"), "tools.json: tool 1: expected an object that declares a tool");
  EXPECT_EQ(refusal(R"([{"name":"a"},{"function":3}])"), "tools.json: tool 2: function: expected an object");
  for (const char* name : {"null", "3", "\"\"", "\"a b\"", "\"a{\"", "\"\u00e9\""}) {
    EXPECT_EQ(refusal((R"([{"name":)" + std::string(name) + "}]").c_str()),
              "tools.json: tool 1: name: expected a name of letters, digits, _, - and .")
        << name;
  }
  EXPECT_EQ(refusal(R"([{"name":"a"},{"name":"a"}])"), "tools.json: two tools have the name a");
  EXPECT_EQ(refusal(R"([{"name":"a","description":3}])"), "tools.json: tool 1: a: description: expected a text");
  const auto parameters = [](const char* schema) {
    return refusal((R"([{"name":"a","parameters":)" + std::string(schema) + "}]").c_str());
  };
  EXPECT_EQ(parameters("3"), "tools.json: tool 1: a: parameters: expected a JSON schema, an object");
  EXPECT_EQ(parameters(R"({"type":"array"})"),
            "tools.json: tool 1: a: parameters: expected a schema of type \"object\"");
  EXPECT_EQ(parameters(R"({"properties":[]})"), "tools.json: tool 1: a: parameters: properties: expected an object");
  EXPECT_EQ(parameters(R"({"required":["a",1]})"),
            "tools.json: tool 1: a: parameters: required: expected a list of names");
}

}  // namespace
}  // namespace carat
