#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "base/file_map.h"
#include "tests/support/opal.h"
#include "text/chat_probe.h"

namespace carat {
namespace {

constexpr size_t kLargestTemplate = size_t{1} << 20;

// A template of our own that writes all that Google's newest one for the small models does.
std::string whole_template() {
  const auto path = std::filesystem::path(CARAT_SOURCE_DIR) / "tests" / "golden" / "chat" / "own_template.jinja";
  return read_text_file(path, kLargestTemplate).value();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

class ChatTemplate : public testing::Test {
 protected:
  Result<ChatFormat> choose(const std::string& text, ChatTemplateChoice choice = ChatTemplateChoice::kAuto,
                            int64_t per_layer_width = 8) {
    vocabulary_.chat_template = text;
    ModelConfig config;
    config.per_layer_width = per_layer_width;
    return choose_chat_format(tokenizer_, vocabulary_, config, choice, "m.gguf");
  }

  std::string refusal(const std::string& text) {
    const auto format = choose(text);
    if (format.ok()) return format->description();
    EXPECT_EQ(format.error().kind, ErrorKind::kRefused);
    return format.error().message;
  }

  Vocabulary vocabulary_ = test::opal_vocabulary();
  Tokenizer tokenizer_ = Tokenizer::create(vocabulary_).value();
};

TEST_F(ChatTemplate, ReadsTheChoice) {
  EXPECT_EQ(chat_template_choice("auto").value(), ChatTemplateChoice::kAuto);
  EXPECT_EQ(chat_template_choice("gemma4").value(), ChatTemplateChoice::kGemma4);
  EXPECT_EQ(chat_template_choice("jinja\xFF").error().message,
            "--chat-template: expected auto or gemma4, found \"jinja\\xff\"");
}

TEST_F(ChatTemplate, TakesTheNewestRevisionWhereThereIsNoTemplate) {
  const ChatFormat small = choose("").value();
  EXPECT_EQ(small.revision().name, "2026-07-09");
  EXPECT_EQ(small.revision().size, ChatSize::kSmall);
  EXPECT_EQ(small.description(), "the file has no chat template; that of 2026-07-09 for the small models is taken");
  const ChatFormat large = choose("", ChatTemplateChoice::kAuto, 0).value();
  EXPECT_EQ(large.revision().size, ChatSize::kLarge);
}

TEST_F(ChatTemplate, TheUserCanTakeTheNewestRevision) {
  const ChatFormat format = choose("{% broken", ChatTemplateChoice::kGemma4, 0).value();
  EXPECT_EQ(format.revision().size, ChatSize::kLarge);
  EXPECT_EQ(format.description(),
            "--chat-template gemma4: the chat format of Google's template of 2026-07-09 for the large models");
}

TEST_F(ChatTemplate, TakesWhatAnUnknownTemplateWrites) {
  const ChatFormat format = choose(whole_template()).value();
  EXPECT_EQ(format.revision().name, "2026-07-09");
  EXPECT_EQ(format.revision().size, ChatSize::kSmall);
  EXPECT_TRUE(format.has_thinking());
  EXPECT_TRUE(format.has_tools());
  EXPECT_EQ(
      format.description(),
      "the file's chat template is none of Google's; it writes what theirs of 2026-07-09 for the small models does");
}

TEST_F(ChatTemplate, FindsTheRevisionThatATemplateIsLike) {
  const std::string large = replaced(whole_template(), "{{- '<|turn>model\\n' -}}{#- answer -#}",
                                     "{{- '<|turn>model\\n' ~ ('' if enable_thinking else "
                                     "'<|channel>thought\\n<channel|>') -}}");
  EXPECT_EQ(choose(large)->revision().size, ChatSize::kLarge);
  EXPECT_TRUE(choose(large)->has_tools());
}

TEST_F(ChatTemplate, RefusesOnlyWhatATemplateWritesOtherwise) {
  const ChatFormat thoughtless = choose(replaced(whole_template(), "<|think|>\\n", "<|think|>!")).value();
  EXPECT_FALSE(thoughtless.has_thinking());
  EXPECT_TRUE(thoughtless.has_tools());
  EXPECT_TRUE(thoughtless.description().ends_with(" does, but for thinking"));

  const ChatFormat toolless = choose(replaced(whole_template(), "declaration:", "declare:")).value();
  EXPECT_TRUE(toolless.has_thinking());
  EXPECT_FALSE(toolless.has_tools());
  const std::vector<ChatMessage> messages = {{.text = "a"}};
  EXPECT_EQ(
      toolless.render(messages, {.tools = {{.name = "f"}}}, true).error().message,
      "tools: the file's own chat template does not write tools as Gemma 4 does; --chat-template gemma4 takes Gemma "
      "4's own format all the same");
}

TEST_F(ChatTemplate, TakesOpalsOwnTemplate) {
  const ChatFormat format =
      choose(read_text_file(test::opal_folder() / "chat_template.jinja", kLargestTemplate).value()).value();
  EXPECT_EQ(format.revision().size, ChatSize::kSmall);
  EXPECT_FALSE(format.has_thinking());
  EXPECT_FALSE(format.has_tools());
  EXPECT_TRUE(format.description().ends_with(" does, but for thinking and tools"));
}

TEST_F(ChatTemplate, RefusesATemplateOfOtherTurns) {
  EXPECT_EQ(refusal("{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}{% endfor %}"),
            "m.gguf: the chat template is none of Google's and does not write Gemma 4's turns: at byte 6 of a probe it "
            "writes \"start_of_turn>system<start_of_turn>user<\"..., expected \"|turn>system\\nBe "
            "kind.<turn|>\\n<|turn>user\"...; --chat-template gemma4 takes Gemma 4's own format all the same");
}

TEST_F(ChatTemplate, RefusesATemplateThatRaises) {
  const std::string message = refusal("{{ raise_exception('no system role') }}");
  EXPECT_NE(message.find("does not write Gemma 4's turns: a probe gives: "), std::string::npos) << message;
  EXPECT_NE(message.find("no system role"), std::string::npos) << message;
}

TEST_F(ChatTemplate, RefusesATemplateWithASyntaxError) {
  const std::string message = refusal("{{ bos_token }}\n{% for m in messages %}\n{{ m. }}");
  EXPECT_TRUE(message.starts_with("m.gguf: chat template: ")) << message;
  EXPECT_NE(message.find("line 3"), std::string::npos) << message;
  EXPECT_TRUE(message.ends_with("--chat-template gemma4 takes Gemma 4's own format all the same")) << message;
}

TEST(ChatRevision, KnowsNoTextButGooglesOwn) {
  EXPECT_EQ(recognise_template(""), nullptr);
  EXPECT_EQ(recognise_template("{{ bos_token }}"), nullptr);
  for (const TemplateRevision& revision : template_revisions()) EXPECT_EQ(template_digest(revision).size(), 64u);
}

TEST(ChatRevision, NamesTheNewest) {
  for (const ChatSize size : {ChatSize::kSmall, ChatSize::kLarge}) {
    const TemplateRevision& latest = latest_revision(size);
    EXPECT_EQ(latest.size, size);
    for (const TemplateRevision& revision : template_revisions()) EXPECT_LE(revision.name, latest.name);
  }
}

TEST(ChatVariables, AreThoseOfTheTemplatesInterface) {
  const std::vector<ChatMessage> messages = {
      {.role = ChatRole::kSystem, .text = "s"},
      {.role = ChatRole::kModel, .text = "m", .thought = "t", .calls = {{"f", {{"a", 1}}, ""}}},
      {.role = ChatRole::kTool, .tool_name = "f", .result = "r"}};
  const auto outside = chat_variables(messages, {.thinking = true, .tools = {{.name = "f"}}}, true, false);
  EXPECT_EQ(outside.dump(),
            R"({"messages":[{"role":"system","content":"s"},{"role":"assistant","content":"m","tool_calls":[{"id":)"
            R"("call 1 0","type":"function","function":{"name":"f","arguments":{"a":1}}}],"reasoning_content":"t"},)"
            R"({"role":"tool","name":"f","tool_call_id":"none","content":"r"}],"tools":[{"type":"function","function":)"
            R"({"name":"f","description":""}}],"add_generation_prompt":true,"enable_thinking":true,)"
            R"("preserve_thinking":false,"bos_token":"<bos>","eos_token":"<eos>"})");
  const auto inside = chat_variables(messages, {}, false, true);
  EXPECT_EQ(inside["messages"][1]["tool_responses"].dump(), R"([{"name":"f","response":"r"}])");
  EXPECT_EQ(inside["tools"], nullptr);
}

}  // namespace
}  // namespace carat
