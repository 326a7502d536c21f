#include "message_lines.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(MessageLinesTest, ALineIsAMessage) {
  MessageLines lines;
  EXPECT_TRUE(lines.add("a question"));
  EXPECT_FALSE(lines.waiting());
  const TypedMessage message = lines.take();
  EXPECT_EQ(message.text, "a question");
  EXPECT_FALSE(message.quoted);
  EXPECT_TRUE(lines.add("another"));
  EXPECT_EQ(lines.take().text, "another");
}

TEST(MessageLinesTest, ABackslashAtTheEndGoesOn) {
  MessageLines lines;
  EXPECT_FALSE(lines.add("one\\"));
  EXPECT_TRUE(lines.waiting());
  EXPECT_FALSE(lines.add("\\"));
  EXPECT_TRUE(lines.add("th\\ree"));
  EXPECT_EQ(lines.take().text, "one\n\nth\\ree");
}

TEST(MessageLinesTest, TripleQuotesHoldManyLines) {
  MessageLines lines;
  EXPECT_FALSE(lines.add("\"\"\"one"));
  EXPECT_FALSE(lines.add("two\\"));
  EXPECT_FALSE(lines.add("\"\"\" is no end here"));
  EXPECT_TRUE(lines.add("four\"\"\""));
  const TypedMessage message = lines.take();
  EXPECT_EQ(message.text, "one\ntwo\\\n\"\"\" is no end here\nfour");
  EXPECT_TRUE(message.quoted);
}

TEST(MessageLinesTest, TripleQuotesMayCloseOnTheirLine) {
  MessageLines lines;
  EXPECT_TRUE(lines.add("\"\"\"/help\"\"\""));
  EXPECT_EQ(lines.take().text, "/help");
  EXPECT_FALSE(lines.add("\"\"\""));
  EXPECT_TRUE(lines.add("\"\"\""));
  EXPECT_EQ(lines.take().text, "\n");
}

TEST(MessageLinesTest, PastedNewlinesStay) {
  MessageLines lines;
  EXPECT_TRUE(lines.add("one\\\ntwo"));
  EXPECT_EQ(lines.take().text, "one\\\ntwo");
}

TEST(MessageLinesTest, ClearForgets) {
  MessageLines lines;
  EXPECT_FALSE(lines.add("\"\"\"one"));
  lines.clear();
  EXPECT_FALSE(lines.waiting());
  EXPECT_TRUE(lines.add("two"));
  EXPECT_EQ(lines.take().text, "two");
}

}  // namespace
}  // namespace carat
