#include "base/utf8.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

namespace carat {
namespace {

using Kind = Utf8Front::Kind;

const std::string kFffd(kReplacementCharacter);

struct FrontCase {
  std::string_view text;
  Kind kind;
  size_t size;
};

TEST(Utf8Front, KnowsTheEdgesOfEveryForm) {
  const std::vector<FrontCase> cases = {
      {"a", Kind::kCharacter, 1},
      {{"\0", 1}, Kind::kCharacter, 1},
      {"\x7F", Kind::kCharacter, 1},
      {"\x80", Kind::kInvalid, 1},
      {"\xC1\xBF", Kind::kInvalid, 1},
      {"\xC2\x80", Kind::kCharacter, 2},
      {"\xC2", Kind::kIncomplete, 1},
      {"\xC2"
       "a",
       Kind::kInvalid, 1},
      {"\xE0\x9F\xBF", Kind::kInvalid, 1},
      {"\xE0\xA0\x80", Kind::kCharacter, 3},
      {"\xED\x9F\xBF", Kind::kCharacter, 3},
      {"\xED\xA0\x80", Kind::kInvalid, 1},
      {"\xEF\xBF\xBF", Kind::kCharacter, 3},
      {"\xE2\x82", Kind::kIncomplete, 2},
      {"\xE2\x82"
       "a",
       Kind::kInvalid, 2},
      {"\xF0\x8F\xBF\xBF", Kind::kInvalid, 1},
      {"\xF0\x90\x80\x80", Kind::kCharacter, 4},
      {"\xF4\x8F\xBF\xBF", Kind::kCharacter, 4},
      {"\xF4\x90\x80\x80", Kind::kInvalid, 1},
      {"\xF0\x9F\x98", Kind::kIncomplete, 3},
      {"\xF0\x9F\x98\xF0", Kind::kInvalid, 3},
      {"\xF5", Kind::kInvalid, 1},
      {"\xFF", Kind::kInvalid, 1},
  };
  for (const FrontCase& expected : cases) {
    const Utf8Front front = utf8_front(expected.text);
    EXPECT_EQ(front.kind, expected.kind) << testing::PrintToString(expected.text);
    EXPECT_EQ(front.size, expected.size) << testing::PrintToString(expected.text);
  }
}

TEST(ToValidUtf8, ReplacesEachMaximalPartOnce) {
  EXPECT_EQ(to_valid_utf8(""), "");
  EXPECT_EQ(to_valid_utf8("na\u00EFve \U0001F60A"), "na\u00EFve \U0001F60A");
  // The example of Unicode's chapter 3, table 3-8.
  EXPECT_EQ(to_valid_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            "a" + kFffd + kFffd + kFffd + "b" + kFffd + "c" + kFffd + kFffd + "d");
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), kFffd + kFffd + kFffd);
  EXPECT_EQ(to_valid_utf8("x\xF0\x9F\x98"), "x" + kFffd);
}

TEST(ToValidUtf8, AnyBytesBecomeValidAndValidTextStays) {
  const bool held = rc::check("to_valid_utf8", [](const std::vector<uint8_t>& bytes) {
    const std::string text(bytes.begin(), bytes.end());
    const std::string valid = to_valid_utf8(text);
    RC_ASSERT(is_valid_utf8(valid));
    RC_ASSERT(to_valid_utf8(valid) == valid);
    RC_ASSERT(is_valid_utf8(text) == (valid == text));
  });
  EXPECT_TRUE(held);
}

TEST(TrimWhiteSpace, TakesUnicodeSpacesOffBothEnds) {
  EXPECT_EQ(trim_white_space(" \t\r\n\v\f\x1C\u0085\u00A0\u2003\u3000 a \n b\u2028 \u205F"), "a \n b");
  EXPECT_EQ(trim_white_space("  \n "), "");
  EXPECT_EQ(trim_white_space(""), "");
  // A zero-width space is no white space.
  EXPECT_EQ(trim_white_space("\u200Ba\u200B"), "\u200Ba\u200B");
}

}  // namespace
}  // namespace carat
