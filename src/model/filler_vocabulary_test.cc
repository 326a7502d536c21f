#include "model/filler_vocabulary.h"

#include <gtest/gtest.h>

#include "text/chat.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

TEST(FillerVocabulary, IsValidAtEverySize) {
  for (const int64_t size : {kSmallestFillerVocabulary, int64_t{4096}, int64_t{262144}}) {
    const Vocabulary vocabulary = filler_vocabulary(size);
    EXPECT_EQ(vocabulary.size(), size);
    EXPECT_TRUE(check_vocabulary(vocabulary, "filler").ok());
  }
}

TEST(FillerVocabulary, SpellsTextAndFormatsChats) {
  const Vocabulary vocabulary = filler_vocabulary(kSmallestFillerVocabulary);
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  const std::string text = "A line, 2 spaces  and\nan \u00e9 and \U0001f600.";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_TRUE(ChatFormat::create(tokenizer, vocabulary).ok());
}

TEST(FillerVocabulary, SurvivesTokenizerJson) {
  const Vocabulary vocabulary = filler_vocabulary(1000);
  const Vocabulary again = vocabulary_from_tokenizer_json(vocabulary_to_tokenizer_json(vocabulary), "t").value();
  EXPECT_EQ(again.pieces, vocabulary.pieces);
  EXPECT_EQ(again.types, vocabulary.types);
  EXPECT_EQ(again.scores, vocabulary.scores);
}

}  // namespace
}  // namespace carat
