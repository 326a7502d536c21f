#include "chat_file.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

const std::string kHead = R"({"carat_chat": 1, "messages": )";

std::string refusal(const std::string& json) {
  const auto messages = chat_from_json(json, "chat.json");
  return messages.ok() ? "" : messages.error().message;
}

std::vector<ChatMessage> all_kinds() {
  std::vector<ChatMessage> messages = {{.role = ChatRole::kSystem, .text = "be brief"},
                                       {.role = ChatRole::kUser, .text = "the weather in K\u00f6ln?\n\"now\""},
                                       {.role = ChatRole::kModel, .text = "", .thought = "a tool knows"},
                                       {.role = ChatRole::kTool, .tool_name = "weather", .result = "rain"},
                                       {.role = ChatRole::kModel, .text = "Rain."}};
  messages[2].calls = {{.name = "weather", .arguments = {{"city", "K\u00f6ln"}, {"days", 2}}}};
  return messages;
}

TEST(ChatFileTest, WhatIsSavedComesBack) {
  const std::vector<ChatMessage> saved = all_kinds();
  const std::vector<ChatMessage> loaded = chat_from_json(chat_to_json(saved), "chat.json").value();
  ASSERT_EQ(loaded.size(), saved.size());
  for (size_t i = 0; i < saved.size(); ++i) {
    EXPECT_EQ(loaded[i].role, saved[i].role) << i;
    EXPECT_EQ(loaded[i].text, saved[i].text) << i;
    EXPECT_EQ(loaded[i].thought, saved[i].thought) << i;
    EXPECT_EQ(loaded[i].tool_name, saved[i].tool_name) << i;
    EXPECT_EQ(loaded[i].result, saved[i].result) << i;
  }
  ASSERT_EQ(loaded[2].calls.size(), 1u);
  EXPECT_EQ(loaded[2].calls[0].name, "weather");
  EXPECT_EQ(loaded[2].calls[0].arguments, saved[2].calls[0].arguments);
}

TEST(ChatFileTest, DamageIsNamed) {
  EXPECT_EQ(refusal(""), "chat.json: is no valid JSON");
  EXPECT_EQ(refusal(chat_to_json(all_kinds()).substr(0, 200)), "chat.json: is no valid JSON");
  EXPECT_EQ(refusal("[]"), "chat.json: is no chat of /save");
  EXPECT_EQ(refusal(R"({"messages": []})"), "chat.json: is no chat of /save");
  EXPECT_EQ(refusal(R"({"carat_chat": 2, "messages": []})"), "chat.json: is a chat that a later version has saved");
  EXPECT_EQ(refusal(kHead + "{}}"), "chat.json: messages: expected a list");
  EXPECT_EQ(refusal(kHead + "[1]}"), "chat.json: message 1: expected an object, found number");
  EXPECT_EQ(refusal(kHead + R"([{"role": "user", "text": "a"}, {"role": "robot"}]})"),
            "chat.json: message 2: role: expected system, user, model or tool, found \"robot\"");
  EXPECT_EQ(refusal(kHead + R"([{"role": "user", "text": 7}]})"),
            "chat.json: message 1: text: expected a string, found number");
  EXPECT_EQ(refusal(kHead + R"([{"role": "model", "calls": [{"name": "a"}]}]})"),
            "chat.json: message 1: calls: arguments: expected an object");
  EXPECT_EQ(refusal(kHead + R"([{"role": "model", "calls": {}}]})"),
            "chat.json: message 1: calls: expected a list, found object");
}

TEST(ChatFileTest, ValuesThatAreNestedWithoutBoundAreRefused) {
  const std::string deep = std::string(1000000, '[') + std::string(1000000, ']');
  EXPECT_NE(refusal(kHead + R"([{"role": "tool", "name": "a", "result": )" + deep + "}]}"), "");
  EXPECT_NE(refusal(kHead + R"([{"role": "model", "calls": [{"name": "a", "arguments": {"b": )" + deep + "}}]}]}"), "");
  EXPECT_NE(refusal(deep), "");
}

}  // namespace
}  // namespace carat
