#include "eval/markup.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(MarkupTest, EscapesWhatHasAMeaning) {
  EXPECT_EQ(escaped("a <b> & \"c\" 'd'"), "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escaped("&amp;"), "&amp;amp;");
  EXPECT_EQ(escaped("über 10⁻⁷ 😀"), "über 10⁻⁷ 😀");
  EXPECT_EQ(escaped(""), "");
}

TEST(MarkupTest, ReplacesWhatNoDocumentMayHold) {
  EXPECT_EQ(escaped(std::string_view("a\0b\x1b[31m\n", 9)), "a\uFFFDb\uFFFD[31m\uFFFD");
  EXPECT_EQ(escaped("a\xff<\xc3"), "a\uFFFD&lt;\uFFFD");
  EXPECT_EQ(escaped("\u0085\uFFFE\uFFFF\U0001FFFE\u00a0"), "\uFFFD\uFFFD\uFFFD\uFFFD\u00a0");
}

}  // namespace
}  // namespace carat
