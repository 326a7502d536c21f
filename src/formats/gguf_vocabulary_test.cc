#include <gtest/gtest.h>

#include <algorithm>

#include "formats/gguf_gemma4.h"
#include "tests/support/opal.h"

namespace carat {
namespace {

/// The tokenizer of a file as other converters write it, with entries of a test's own.
class TokenizerEntries {
 public:
  TokenizerEntries() : vocabulary_(test::opal_vocabulary()) {
    header_.add_string("tokenizer.ggml.model", "gemma4");
    header_.add_string_array("tokenizer.ggml.tokens", vocabulary_.pieces);
    header_.add_string_array("tokenizer.ggml.merges", {});
    header_.add_u32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(vocabulary_.bos));
  }

  /// Converters call <eos> a normal piece.
  TokenizerEntries& types() {
    std::vector<int32_t> types;
    for (const PieceType type : vocabulary_.types) types.push_back(static_cast<int32_t>(type));
    types[static_cast<size_t>(vocabulary_.eos)] = static_cast<int32_t>(PieceType::kNormal);
    header_.add_i32_array("tokenizer.ggml.token_type", types);
    return *this;
  }
  TokenizerEntries& id(const char* key, int32_t id) {
    header_.add_u32(key, static_cast<uint32_t>(id));
    return *this;
  }
  TokenizerEntries& ids(const char* key, const std::vector<int32_t>& ids) {
    header_.add_i32_array(key, ids);
    return *this;
  }

  Result<Vocabulary> read() const {
    const std::string bytes = header_.bytes();
    const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
    return vocabulary_from_gguf(GgufFields(content.entries, "model.gguf"), "model.gguf");
  }

  int32_t piece(std::string_view text) const {
    return static_cast<int32_t>(std::ranges::find(vocabulary_.pieces, text) - vocabulary_.pieces.begin());
  }

 private:
  Vocabulary vocabulary_;
  GgufHeader header_;
};

TEST(GgufVocabulary, WhatIsWrittenReadsBack) {
  Vocabulary vocabulary = test::opal_vocabulary();
  vocabulary.stop = {1, 16, 9};
  vocabulary.suppressed = {21, 22};
  vocabulary.chat_template = "{{ template }}";
  GgufHeader header;
  ASSERT_TRUE(add_vocabulary(vocabulary, header).ok());
  const std::string bytes = header.bytes();
  const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
  const Vocabulary read = vocabulary_from_gguf(GgufFields(content.entries, "model.gguf"), "model.gguf").value();
  EXPECT_EQ(read.pieces, vocabulary.pieces);
  EXPECT_EQ(read.types, vocabulary.types);
  EXPECT_EQ(read.scores, vocabulary.scores);
  EXPECT_EQ(read.merges.size(), vocabulary.merges.size());
  EXPECT_EQ(read.stop, vocabulary.stop);
  EXPECT_EQ(read.suppressed, vocabulary.suppressed);
  EXPECT_EQ(read.chat_template, vocabulary.chat_template);
  EXPECT_EQ(read.eos, vocabulary.eos) << "the file's entry names the end of a turn";
  EXPECT_EQ(GgufFields(content.entries, "").integer("tokenizer.ggml.eos_token_id").value(), 16);
}

TEST(GgufVocabulary, EndsAreFoundByTheirTexts) {
  TokenizerEntries entries;
  const int32_t turn = entries.piece("<turn|>");
  const int32_t response = entries.piece("<|tool_response>");
  const Vocabulary vocabulary = entries.types().id("tokenizer.ggml.eos_token_id", turn).read().value();
  EXPECT_EQ(vocabulary.eos, 1) << "<eos>, whatever the entry says";
  EXPECT_EQ(vocabulary.stop, (std::vector<int32_t>{1, turn, response}));
  EXPECT_EQ(vocabulary.types[1], PieceType::kNormal);
  EXPECT_TRUE(is_special_piece(vocabulary, 1)) << "the end of a text is no text";
}

TEST(GgufVocabulary, TheEndOfATurnMayHaveItsOwnEntry) {
  TokenizerEntries entries;
  const int32_t turn = entries.piece("<turn|>");
  entries.types().id("tokenizer.ggml.eos_token_id", 1).id("tokenizer.ggml.eot_token_id", turn);
  EXPECT_EQ(entries.read().value().stop, (std::vector<int32_t>{1, turn, entries.piece("<|tool_response>")}));
}

TEST(GgufVocabulary, ReadsSuppressedIds) {
  TokenizerEntries entries;
  entries.types().id("tokenizer.ggml.eos_token_id", 1).ids("tokenizer.ggml.suppress_tokens", {22, 21});
  EXPECT_EQ(entries.read().value().suppressed, (std::vector<int32_t>{22, 21}));
}

TEST(GgufVocabulary, RefusesATemplateThatIsTooLong) {
  for (const size_t extra : {0, 1}) {
    Vocabulary vocabulary = test::opal_vocabulary();
    vocabulary.chat_template.assign(kLongestChatTemplate + extra, 'a');
    GgufHeader header;
    ASSERT_TRUE(add_vocabulary(vocabulary, header).ok());
    const std::string bytes = header.bytes();
    const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
    const auto read = vocabulary_from_gguf(GgufFields(content.entries, "model.gguf"), "model.gguf");
    ASSERT_EQ(read.ok(), extra == 0);
    if (extra == 0) continue;
    EXPECT_EQ(read.error().message, "model.gguf: tokenizer.chat_template: has 1048577 bytes, expected at most 1048576");
  }
}

TEST(GgufVocabulary, RefusesIdsOutsideTheVocabulary) {
  for (const char* key : {"tokenizer.ggml.suppress_tokens", "carat.stop_token_ids"}) {
    for (const int32_t id : {-1, 4096}) {
      TokenizerEntries entries;
      const auto read = entries.types().id("tokenizer.ggml.eos_token_id", 1).ids(key, {3, id}).read();
      ASSERT_FALSE(read.ok());
      EXPECT_EQ(read.error().message, "model.gguf: " + std::string(key) + ": " + std::to_string(id) +
                                          " is no id of a vocabulary of 4096 pieces");
    }
  }
}

}  // namespace
}  // namespace carat
