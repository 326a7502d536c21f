#include "text/stream.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "tests/support/opal.h"

namespace carat {
namespace {

// The ids of single bytes, so that every cut between bytes is a cut between ids.
std::vector<int32_t> byte_ids(const Tokenizer& tokenizer, std::string_view bytes) {
  const int32_t first = tokenizer.find("<0x00>");
  std::vector<int32_t> ids;
  for (const char byte : bytes) ids.push_back(first + static_cast<uint8_t>(byte));
  return ids;
}

TEST(TextStream, GivesOnlyWholeCharacters) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  TextStream stream(tokenizer);
  const std::vector<int32_t> ids = byte_ids(tokenizer, "\u00E9\U0001F60A!");
  const std::vector<std::string> expected = {"", "\u00E9", "", "", "", "\U0001F60A", "!"};
  ASSERT_EQ(ids.size(), expected.size());
  for (size_t at = 0; at < ids.size(); ++at) EXPECT_EQ(stream.append(ids[at]), expected[at]);
  EXPECT_EQ(stream.end(), "");
}

TEST(TextStream, EndsAtEveryByteLikeDecode) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  const std::string bytes = "a\u00E9\u2014\U0001F60A\xFFz\xE2\x82q\xF0\x9F\x98\xC3\xED\xA0\x80 \u732B\xF4\x90";
  const std::vector<int32_t> ids = byte_ids(tokenizer, bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    TextStream stream(tokenizer);
    std::string text;
    for (size_t at = 0; at < cut; ++at) {
      const std::string more = stream.append(ids[at]);
      EXPECT_TRUE(is_valid_utf8(more));
      text += more;
    }
    text += stream.end();
    EXPECT_EQ(text, to_valid_utf8(bytes.substr(0, cut)));
    EXPECT_EQ(text, tokenizer.decode(std::span(ids).first(cut)));
  }
}

TEST(TextStream, IsAsNewAfterItsEnd) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.append(tokenizer.find("<0xE2>")), "");
  EXPECT_EQ(stream.end(), "\uFFFD");
  EXPECT_EQ(stream.append(tokenizer.find("\u2581the")), " the");
  EXPECT_EQ(stream.end(), "");
}

TEST(TextStream, APieceAfterACutCharacterReplacesIt) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.append(tokenizer.find("<0xE2>")), "");
  EXPECT_EQ(stream.append(tokenizer.find("the")), "\uFFFDthe");
}

TEST(TextStream, LeavesControlPiecesOutUnlessAsked) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  TextStream plain(tokenizer);
  EXPECT_EQ(plain.append(tokenizer.find("<turn|>")), "");
  EXPECT_EQ(plain.append(tokenizer.find("<|channel>")), "<|channel>");
  TextStream all(tokenizer, ControlPieces::kKeep);
  EXPECT_EQ(all.append(tokenizer.find("<turn|>")), "<turn|>");
}

}  // namespace
}  // namespace carat
