#include "text/chat_values.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

// The pieces that `spelled` spells, for tests whose texts spell no other.
ChatText chat_text(std::string_view spelled) {
  ChatText text;
  while (!spelled.empty()) {
    const size_t at = spelled.find(chat_piece_text(ChatPiece::kQuote));
    text << spelled.substr(0, at);
    if (at == std::string_view::npos) break;
    text << ChatPiece::kQuote;
    spelled.remove_prefix(at + chat_piece_text(ChatPiece::kQuote).size());
  }
  return text;
}

std::string written(const Json& value, const ValueStyle& style = {}) {
  ChatText text;
  write_value(value, style, text);
  return text.spelled();
}

std::string refusal(std::string_view spelled) {
  const auto value = read_value(chat_text(spelled));
  return value.ok() ? "read as " + value->dump() : value.error().message;
}

TEST(ChatValues, WritesNumbersAsPythonDoes) {
  EXPECT_EQ(written(0), "0");
  EXPECT_EQ(written(INT64_MIN), "-9223372036854775808");
  EXPECT_EQ(written(UINT64_MAX), "18446744073709551615");
  EXPECT_EQ(written(1.0), "1.0");
  EXPECT_EQ(written(-0.0), "-0.0");
  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(0.0001), "0.0001");
  EXPECT_EQ(written(0.00001), "1e-05");
  EXPECT_EQ(written(1.5e-7), "1.5e-07");
  EXPECT_EQ(written(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(written(1e15), "1000000000000000.0");
  EXPECT_EQ(written(1e16), "1e+16");
  EXPECT_EQ(written(5e-324), "5e-324");
}

TEST(ChatValues, WritesMembersInTheOrderOfTheirKeys) {
  const Json object = {{"b", 1}, {"a", 2}, {"C", 3}, {"A", 4}, {"_", 5}, {"é", 6}, {"aa", 7}};
  EXPECT_EQ(written(object), "{_:5,a:2,A:4,aa:7,b:1,C:3,é:6}");
  EXPECT_EQ(written({{"k", "v"}}, {.quotes_keys = true}), "{<|\"|>k<|\"|>:<|\"|>v<|\"|>}");
  EXPECT_EQ(written(nullptr, {.writes_null = false}), "None");
}

TEST(ChatValues, ReadsWhatModelsWrite) {
  EXPECT_EQ(read_value(chat_text(" { a : 1 , b : [ 1.5 , true,null ] }\n")).value().dump(),
            R"({"a":1,"b":[1.5,true,null]})");
  EXPECT_EQ(read_value(chat_text("{<|\"|>a:b<|\"|>:None,\"c\":\"d\\\"\\n\",e:{}}")).value().dump(),
            R"({"a:b":null,"c":"d\"\n","e":{}})");
  EXPECT_EQ(read_value(chat_text("[<|\"|>},{:\"<|\"|>,<|\"|><|\"|>]")).value().dump(), R"(["},{:\"",""])");
}

TEST(ChatValues, SaysWhatIsWrong) {
  EXPECT_EQ(refusal(""), "expected a value, found the end");
  EXPECT_EQ(refusal("Bern"), "expected a value, found \"Bern\"");
  EXPECT_EQ(refusal("01"), "expected a value, found \"01\"");
  EXPECT_EQ(refusal("1e999"), "expected a value, found \"1e999\"");
  EXPECT_EQ(refusal("{a:1"), "expected \",\" or \"}\", found the end");
  EXPECT_EQ(refusal("{a}"), "expected \":\" after the key \"a\", found \"}\"");
  EXPECT_EQ(refusal("{:1}"), "expected a key, found \":1}\"");
  EXPECT_EQ(refusal("{a:1,}"), "expected a key, found \"}\"");
  EXPECT_EQ(refusal("[1,]"), "expected a value, found \"]\"");
  EXPECT_EQ(refusal("[1 2]"), "expected a value, found \"1 2]\"");
  EXPECT_EQ(refusal("1}"), "expected nothing more, found \"}\"");
  EXPECT_EQ(refusal("<|\"|>open"), "expected the end of a string, found the end");
  EXPECT_EQ(refusal("\"open"), "expected a string, found \"\"open\"");
  EXPECT_EQ(refusal(std::string(100000, '[')), "nested deeper than 64 levels");
}

TEST(ChatValues, NestsAsDeepAsItReads) {
  Json value = Json::object();
  for (int level = 1; level < kDeepestValue; ++level) value = level % 2 ? Json{{"a", value}} : Json::array({value});
  EXPECT_TRUE(check_value(value, "x").ok());
  EXPECT_EQ(read_value(chat_text(written(value))).value(), value);
  EXPECT_FALSE(check_value(Json::array({value}), "x").ok());
  EXPECT_EQ(refusal(written(Json::array({value}))), "nested deeper than 64 levels");
}

TEST(ChatValues, ReadsACall) {
  const ToolCall call = read_call(chat_text("call:get.it{a:<|\"|>b<|\"|>}")).value();
  EXPECT_EQ(call.name, "get.it");
  EXPECT_EQ(call.arguments, Json({{"a", "b"}}));
  for (const char* wrong :
       {"", "get{}", "call:{}", "call:get", "call:get[]", "call:get{}{}", "<|\"|>call:get{}<|\"|>"}) {
    EXPECT_FALSE(read_call(chat_text(wrong)).ok()) << wrong;
  }
}

rc::Gen<std::string> any_text() { return rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127)); }

rc::Gen<std::string> any_key() {
  return rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::elementOf(std::string("abcABC_-.0<|\"'> "))))
      .as("key");
}

bool is_expressible(const std::string& key) { return key.front() != ' ' && key.back() != ' ' && key.front() != '"'; }

Json any_value(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 9 : 7)) {
    case 0:
      return nullptr;
    case 1:
      return *rc::gen::arbitrary<bool>();
    case 2:
      return *rc::gen::arbitrary<int64_t>();
    case 3:
      return *rc::gen::arbitrary<uint64_t>();
    case 4:
      return *rc::gen::suchThat(rc::gen::arbitrary<double>(), [](double x) { return std::isfinite(x); });
    case 5:
      return *any_text();
    case 6:
      return "Zoë 🦊";
    case 7: {
      Json list = Json::array();
      for (int count = *rc::gen::inRange(0, 4); count > 0; --count) list.push_back(any_value(depth - 1));
      return list;
    }
    default: {
      Json object = Json::object();
      for (int count = *rc::gen::inRange(0, 4); count > 0; --count) {
        object[*rc::gen::suchThat(any_key(), is_expressible)] = any_value(depth - 1);
      }
      return object;
    }
  }
}

RC_GTEST_PROP(ChatValues, ReadsBackWhatItWrites, ()) {
  const Json value = any_value(4);
  ChatText text;
  write_value(value, {.quotes_keys = *rc::gen::arbitrary<bool>(), .writes_null = *rc::gen::arbitrary<bool>()}, text);
  // nlohmann::json compares objects without the order of their members.
  const bool is_equal = nlohmann::json(read_value(text).value()) == nlohmann::json(value);
  RC_ASSERT(is_equal);
}

}  // namespace
}  // namespace carat
