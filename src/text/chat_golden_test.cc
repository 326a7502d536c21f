// Compares the chat format with what Google's own templates write: tests/oracle/chat_template.py made the texts.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file_map.h"
#include "tests/support/opal.h"
#include "text/chat.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLargestGolden = size_t{1} << 20;

Json golden(const std::string& name) {
  const auto path = std::filesystem::path(CARAT_SOURCE_DIR) / "tests" / "golden" / "chat" / (name + ".json");
  return Json::parse(read_text_file(path, kLargestGolden).value());
}

ChatMessage message_of(const Json& json) {
  ChatMessage message = {.role = chat_role(json["role"].get<std::string>()).value(),
                         .text = json.value("text", ""),
                         .thought = json.value("thought", ""),
                         .tool_name = json.value("tool_name", ""),
                         .call_id = json.value("call_id", ""),
                         .result = json.value("result", Json())};
  for (const Json& call : json.value("calls", Json::array())) {
    message.calls.push_back({call["name"], call["arguments"], call["id"]});
  }
  return message;
}

struct Conversation {
  std::string name;
  std::vector<ChatMessage> messages;
  ChatOptions options;
  bool wants_answer;
};

Conversation conversation_of(const Json& json) {
  Conversation conversation = {.name = json["name"], .messages = {}, .options = {}, .wants_answer = json["answer"]};
  for (const Json& message : json["messages"]) conversation.messages.push_back(message_of(message));
  conversation.options.thinking = json.value("thinking", false);
  conversation.options.keep_thoughts = json.value("keep_thoughts", false);
  conversation.options.tools = tools_from_json(json.value("tools", Json::array()).dump(), "golden").value();
  return conversation;
}

class ChatGolden : public testing::TestWithParam<size_t> {
 protected:
  const TemplateRevision& revision() const { return template_revisions()[GetParam()]; }
  std::string file_name() const {
    return std::string(revision().name) + (revision().size == ChatSize::kSmall ? "-small" : "-large");
  }
};

TEST_P(ChatGolden, WritesWhatTheTemplateWrites) {
  const Vocabulary vocabulary = test::opal_vocabulary();
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  const ChatFormat format = ChatFormat::create(tokenizer, vocabulary, revision()).value();
  const Json expected = golden(file_name());
  EXPECT_EQ(expected["sha256"], template_digest(revision()));

  size_t compared = 0;
  for (const Json& json : golden("conversations")) {
    const Conversation conversation = conversation_of(json);
    if (conversation.options.keep_thoughts && !revision().can_keep_thoughts) continue;
    SCOPED_TRACE(conversation.name);
    const auto text = format.render_text(conversation.messages, conversation.options, conversation.wants_answer);
    ASSERT_TRUE(text.ok()) << text.error().message;
    EXPECT_EQ(*text, expected["texts"][conversation.name].get<std::string>());
    const auto ids = format.render(conversation.messages, conversation.options, conversation.wants_answer).value();
    EXPECT_EQ(tokenizer.decode(ids, ControlPieces::kKeep), *text);
    EXPECT_EQ(std::ranges::count(ids, tokenizer.bos()), 1);
    ++compared;
  }
  EXPECT_GE(compared, 49u);
}

INSTANTIATE_TEST_SUITE_P(Revisions, ChatGolden, testing::Range(size_t{0}, template_revisions().size()));

}  // namespace
}  // namespace carat
