#include "text/chat_answer.h"

#include <gtest/gtest.h>

#include "tests/support/opal.h"
#include "text/chat.h"

namespace carat {
namespace {

using Kind = AnswerEvent::Kind;

// An answer with everything in it: thoughts, calls, a broken call, results asked for, characters of several bytes.
constexpr std::string_view kAnswer =
    "<|channel>thought\nLet me <see>.\n\nZoë 🦊\n<channel|>I < look 🦊.\n"
    "<|tool_call>call:get_weather{city:<|\"|>Zürich}, {<|\"|>,days:[1,2.5]}<tool_call|>"
    "<|tool_call>call:broken{city:Bern}<tool_call|><|tool_call>call:now{}<tool_call|><|tool_response>"
    "<|channel>thought<channel|>It <|cha is<channel|> fine<|think|>.<turn|>";

// Texts that follow each other as one.
std::vector<AnswerEvent> joined(std::vector<AnswerEvent> events) {
  std::vector<AnswerEvent> result;
  for (AnswerEvent& event : events) {
    const bool is_text = event.kind == Kind::kText || event.kind == Kind::kThought;
    if (is_text && !result.empty() && result.back().kind == event.kind) {
      result.back().text += event.text;
    } else {
      result.push_back(std::move(event));
    }
  }
  return result;
}

std::string shown(const std::vector<AnswerEvent>& events) {
  std::string text;
  for (const AnswerEvent& event : joined(events)) {
    switch (event.kind) {
      case Kind::kThought:
        text += "thought(" + event.text + ")";
        break;
      case Kind::kText:
        text += "text(" + event.text + ")";
        break;
      case Kind::kCall:
        text += "call(" + event.call->name + event.call->arguments.dump() + ")";
        break;
      case Kind::kMalformedCall:
        text += "malformed(" + event.text + ": " + event.error + ")";
        break;
      case Kind::kTurnEnd:
        text += "end";
        break;
      case Kind::kResultWanted:
        text += "wanted";
        break;
    }
  }
  return text;
}

constexpr std::string_view kEvents =
    "thought(Let me <see>.\n\nZoë 🦊)text(I < look 🦊.\n)"
    "call(get_weather{\"city\":\"Zürich}, {\",\"days\":[1,2.5]})"
    "malformed(call:broken{city:Bern}: expected a value, found \"Bern}\")call(now{})wanted"
    "text(It <|cha is fine.)end";

class ChatAnswer : public testing::Test {
 protected:
  AnswerStream stream(bool within_thought = false) const { return {tokenizer_, pieces_, within_thought}; }

  std::string by_ids(std::span<const int32_t> ids, bool within_thought = false) const {
    AnswerStream answer = stream(within_thought);
    std::vector<AnswerEvent> events;
    for (const int32_t id : ids) std::ranges::move(answer.append(id), std::back_inserter(events));
    std::ranges::move(answer.end(), std::back_inserter(events));
    return shown(events);
  }

  std::string by_parts(const std::vector<std::string_view>& parts) const {
    AnswerStream answer = stream();
    std::vector<AnswerEvent> events;
    for (const std::string_view part : parts) std::ranges::move(answer.append_text(part), std::back_inserter(events));
    std::ranges::move(answer.end(), std::back_inserter(events));
    return shown(events);
  }

  std::vector<int32_t> ids_of(std::string_view spelled) const { return tokenizer_.encode(spelled, true); }
  std::string read(std::string_view spelled) const {
    EXPECT_EQ(by_parts({spelled}), by_ids(ids_of(spelled)));
    return by_parts({spelled});
  }

  Vocabulary vocabulary_ = test::opal_vocabulary();
  Tokenizer tokenizer_ = Tokenizer::create(vocabulary_).value();
  ChatPieceIds pieces_ = ChatPieceIds(tokenizer_, vocabulary_);
};

TEST_F(ChatAnswer, ReadsAnAnswer) { EXPECT_EQ(read(kAnswer), kEvents); }

TEST_F(ChatAnswer, DoesNotDependOnTheCuts) {
  for (size_t first = 0; first <= kAnswer.size(); ++first) {
    EXPECT_EQ(by_parts({kAnswer.substr(0, first), kAnswer.substr(first)}), kEvents) << "cut at " << first;
  }
  std::vector<std::string_view> bytes;
  for (size_t at = 0; at < kAnswer.size(); ++at) bytes.push_back(kAnswer.substr(at, 1));
  EXPECT_EQ(by_parts(bytes), kEvents);
}

TEST_F(ChatAnswer, GivesTextAsSoonAsItIsOne) {
  AnswerStream answer = stream();
  EXPECT_EQ(shown(answer.append_text("a\n<")), "text(a\n)");
  EXPECT_EQ(shown(answer.append_text("|tool")), "");
  EXPECT_EQ(shown(answer.append_text("ed")), "text(<|tooled)");
  EXPECT_EQ(shown(answer.append_text("\xF0\x9F")), "");
  EXPECT_EQ(shown(answer.append_text("\xA6\x8A")), "text(🦊)");
  EXPECT_EQ(shown(answer.append_text("<|channel>thought\nx")), "thought(x)");
  EXPECT_EQ(shown(answer.append_text("y\n")), "thought(y)");
  EXPECT_EQ(shown(answer.append_text("z")), "thought(\nz)");
}

TEST_F(ChatAnswer, EndsAnywhere) {
  for (size_t size = 0; size <= kAnswer.size(); ++size) {
    const std::string_view part = kAnswer.substr(0, size);
    const std::string cut = by_parts({part});
    EXPECT_EQ(cut, by_parts({part.substr(0, size / 2), part.substr(size / 2)}));
  }
  EXPECT_EQ(read("<|channel>thou"), "text(thou)");
  EXPECT_EQ(read("<|channel>thought\nx\n"), "thought(x\n)");
  EXPECT_EQ(read("<|tool_call>call:f{a:<|\"|>b"),
            "malformed(call:f{a:<|\"|>b: the answer went on before the call was closed)");
  EXPECT_EQ(by_parts({"a\xF0\x9F"}), "text(a\uFFFD)");
  EXPECT_EQ(by_parts({"a<|turn"}), "text(a<|turn)");
}

TEST_F(ChatAnswer, IsAsNewAfterItsEnd) {
  AnswerStream answer = stream();
  answer.append_text("<|channel>thought\nx\xF0");
  answer.end();
  EXPECT_EQ(shown(answer.append_text("y")), "text(y)");
}

TEST_F(ChatAnswer, OnlyIdsOfPiecesAreSpecial) {
  const auto spelled = tokenizer_.encode("a<turn|><|tool_call>call:f{}<tool_call|>");
  EXPECT_EQ(by_ids(spelled), "text(a<turn|><|tool_call>call:f{}<tool_call|>)");
  std::vector<int32_t> call = {tokenizer_.find("<|tool_call>")};
  const auto add = [&](std::span<const int32_t> ids) { call.insert(call.end(), ids.begin(), ids.end()); };
  add(ids_of("call:f{a:<|\"|>"));
  add(tokenizer_.encode("<|\"|><tool_call|>"));
  add(ids_of("<|\"|>}<tool_call|>"));
  EXPECT_EQ(by_ids(call), "call(f{\"a\":\"<|\\\"|><tool_call|>\"})");
}

TEST_F(ChatAnswer, BeginsWithinAThoughtThatThePromptOpened) {
  EXPECT_EQ(by_ids(ids_of("Hm.\n<channel|>Yes.<turn|>"), true), "thought(Hm.)text(Yes.)end");
  EXPECT_TRUE(ends_within_thought(ids_of("<|turn>model\n<|channel>thought\n"), pieces_));
  EXPECT_FALSE(ends_within_thought(ids_of("<|turn>model\n<|channel>thought\n<channel|>"), pieces_));
  EXPECT_FALSE(ends_within_thought(ids_of("<|channel>thought\n<|turn>model\n"), pieces_));
  EXPECT_FALSE(ends_within_thought({}, pieces_));
}

TEST_F(ChatAnswer, ReadsWhatStandsInTheWrongPlace) {
  EXPECT_EQ(read("<|channel>other\ntext<channel|> and more"), "text(other\ntext and more)");
  EXPECT_EQ(read("<|channel><channel|>x<channel|><tool_call|><|\"|>"), "text(x)");
  EXPECT_EQ(read("<|channel>thought\na<|channel>b<|tool_call>call:f{}<tool_call|>c"), "thought(ab)call(f{})text(c)");
  EXPECT_EQ(read("<|tool_call>call:f{<|tool_call>call:g{}<tool_call|>"),
            "malformed(call:f{: the answer went on before the call was closed)call(g{})");
  EXPECT_EQ(read("<|tool_call>call:f{<channel|>}<tool_call|>"),
            "malformed(call:f{<channel|>}: expected a key, found <channel|>)");
  EXPECT_EQ(read("<|tool_call>call:f{<turn|>"), "malformed(call:f{: the answer went on before the call was closed)end");
  EXPECT_EQ(read("<|channel>thought\na\n<turn|>"), "thought(a\n)end");
}

// What is rendered for a model is read back from its ids: one grammar.
TEST_F(ChatAnswer, ReadsWhatTheFormatWrites) {
  const ChatFormat format = ChatFormat::create(tokenizer_, vocabulary_).value();
  const nlohmann::ordered_json arguments = {{"a", {1, 2.5, nullptr, {{"b", "<|\"|> {x}"}}}}, {"z", false}};
  const std::vector<ChatMessage> messages = {
      {.role = ChatRole::kModel, .thought = " Look.\n\nTwice.\n", .calls = {{"f", arguments, ""}, {"g.h", {}, ""}}}};
  auto broken = format.render(messages, {}, false);
  ASSERT_FALSE(broken.ok());  // the arguments of g.h are no object

  std::vector<ChatMessage> whole = messages;
  whole[0].calls[1].arguments = nlohmann::ordered_json::object();
  const auto ids = format.render(whole, {}, false).value();
  const size_t head = ids_of("<bos><|turn>model\n").size();
  EXPECT_EQ(by_ids(std::span(ids).subspan(head)),
            "thought( Look.\n\nTwice.\n)call(f" + arguments.dump() + ")call(g.h{})wanted");
}

}  // namespace
}  // namespace carat
