#include "wrapped_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "terminal.h"

namespace carat {
namespace {

class WrappedTextTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_utf8_locale(); }

  static std::string wrap(int columns, std::string_view text) {
    WrappedText whole(columns);
    std::string out = whole.append(text);
    out += whole.end();
    EXPECT_EQ(whole.rows(), std::count(out.begin(), out.end(), '\n'));
    return out;
  }
};

TEST_F(WrappedTextTest, BreaksBetweenWords) {
  EXPECT_EQ(wrap(10, "one two three four"), "one two\nthree four\n");
  EXPECT_EQ(wrap(10, "exactly10."), "exactly10.\n");
  EXPECT_EQ(wrap(7, "one two three"), "one two\nthree\n");
}

TEST_F(WrappedTextTest, BreaksAWordThatIsLongerThanARow) {
  EXPECT_EQ(wrap(4, "a abcdefghij b"), "a\nabcd\nefgh\nij b\n");
}

TEST_F(WrappedTextTest, KeepsNewlinesAndIndentation) {
  EXPECT_EQ(wrap(20, "one\n\n  two\n\tthree"), "one\n\n  two\n    three\n");
}

TEST_F(WrappedTextTest, LeavesOutWhiteSpaceAtTheEnds) {
  EXPECT_EQ(wrap(20, "\n  one \n\n"), "one\n");
  EXPECT_EQ(wrap(20, " \n"), "");
  EXPECT_EQ(wrap(20, ""), "");
}

TEST_F(WrappedTextTest, WideCharactersTakeTwoColumns) {
  EXPECT_EQ(wrap(6, "日本語日本"), "日本語\n日本\n");
  EXPECT_EQ(wrap(5, "日本語"), "日本\n語\n");
  EXPECT_EQ(wrap(3, "e\u0301e\u0301e\u0301"), "e\u0301e\u0301e\u0301\n");
}

TEST_F(WrappedTextTest, PartsDoNotMatter) {
  const std::string text = "one  two\n three four-and-five 日本語";
  WrappedText parts(8);
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t size = static_cast<unsigned char>(rest.front()) < 0x80 ? 1 : 3;
    out += parts.append(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  out += parts.end();
  EXPECT_EQ(out, wrap(8, text));
}

TEST_F(WrappedTextTest, ANarrowTerminalStillShowsSomething) { EXPECT_EQ(wrap(0, "ab"), "a\nb\n"); }

TEST(TerminalTest, ControlCharactersAreTakenOut) {
  EXPECT_EQ(without_controls("a\tb\n\u00e9日"), "a\tb\n\u00e9日");
  EXPECT_EQ(without_controls("\033[2J\u009b\x7f\r"), "\uFFFD[2J\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(without_controls("\xff"), "\uFFFD");
}

}  // namespace
}  // namespace carat
