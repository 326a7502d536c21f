#include "formats/sentencepiece.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/file_map.h"
#include "tests/support/opal.h"

namespace carat {
namespace {

/// Writes a model field by field, so that each of them can be wrong.
class RawModel {
 public:
  RawModel& varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  RawModel& number(uint32_t field, uint64_t value) { return varint(field << 3).varint(value); }
  RawModel& text(uint32_t field, std::string_view value) {
    varint(field << 3 | 2).varint(value.size());
    bytes_ += value;
    return *this;
  }
  RawModel& score(float value) {
    varint(2 << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  RawModel& piece(std::string_view value, float score, PieceType type) {
    return text(1, RawModel().text(1, value).score(score).number(3, static_cast<uint64_t>(type)).bytes());
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string base_pieces() {
  RawModel model;
  model.piece("<pad>", 0, PieceType::kControl).piece("<eos>", 0, PieceType::kControl);
  model.piece("<bos>", 0, PieceType::kControl).piece("<unk>", 0, PieceType::kUnknown);
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string digits = "0123456789ABCDEF";
    model.piece(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", 0, PieceType::kByte);
  }
  return model.bytes();
}

const std::string kTrainer = RawModel().number(3, 2).number(35, 1).number(40, 3).number(41, 2).number(42, 1).bytes();
const std::string kNormalizer = RawModel().number(3, 0).number(4, 0).number(5, 1).bytes();

std::string settings(const std::string& trainer = kTrainer, const std::string& normalizer = kNormalizer) {
  return RawModel().text(2, trainer).text(3, normalizer).bytes();
}

Result<Vocabulary> load(const std::string& bytes) { return vocabulary_from_sentencepiece(as_bytes(bytes), "t.model"); }

void expect_refused(const std::string& bytes, const std::string& message) {
  const Result<Vocabulary> loaded = load(bytes);
  ASSERT_FALSE(loaded.ok()) << message;
  EXPECT_EQ(loaded.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(loaded.error().message.starts_with("t.model: ")) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(message), std::string::npos) << loaded.error().message;
}

std::string opal_model() {
  const FileMap file = FileMap::open(std::string(CARAT_SOURCE_DIR) + "/tests/golden/tokenizer/opal.model").value();
  return std::string(as_text(file.bytes()));
}

TEST(SentencePiece, ReadsOpalAsItsTokenizerJson) {
  const Vocabulary expected = test::opal_vocabulary();
  const Vocabulary found = load(opal_model()).value();
  EXPECT_EQ(found.pieces, expected.pieces);
  EXPECT_EQ(found.types, expected.types);
  EXPECT_EQ(found.bos, expected.bos);
  EXPECT_EQ(found.eos, expected.eos);
  EXPECT_EQ(found.unknown, expected.unknown);
  EXPECT_EQ(found.padding, expected.padding);
  EXPECT_EQ(found.mask, expected.mask);
  EXPECT_EQ(found.stop, expected.stop);
  ASSERT_EQ(found.merges.size(), expected.merges.size());
  for (size_t rank = 0; rank < found.merges.size(); ++rank) {
    ASSERT_EQ(found.merges[rank].left, expected.merges[rank].left) << rank;
    ASSERT_EQ(found.merges[rank].right, expected.merges[rank].right) << rank;
  }
}

TEST(SentencePiece, OrdersMergesByScoreThenByTheLengthOfTheParts) {
  RawModel model;
  for (const char* letter : {"a", "b", "\u00e9"}) model.piece(letter, -9, PieceType::kNormal);
  model.piece("ab", -2, PieceType::kNormal).piece("b\u00e9", -1, PieceType::kNormal);
  model.piece("ab\u00e9", -3, PieceType::kNormal).piece("\u00e9b", -2, PieceType::kNormal);
  const Vocabulary vocabulary = load(settings() + base_pieces() + model.bytes()).value();
  std::vector<std::string> merges;
  for (const Merge merge : vocabulary.merges) {
    merges.push_back(vocabulary.pieces[static_cast<size_t>(merge.left)] + "+" +
                     vocabulary.pieces[static_cast<size_t>(merge.right)]);
  }
  EXPECT_EQ(merges, (std::vector<std::string>{"b+\u00e9", "a+b", "\u00e9+b", "ab+\u00e9", "a+b\u00e9"}));
}

TEST(SentencePiece, UserDefinedTextStaysText) {
  RawModel model;
  for (const char* piece : {"\n\n", "<table>", "<|turn>", "<tool_call|>", "<|\"|>"}) {
    model.piece(piece, 0, PieceType::kUserDefined);
  }
  model.piece("<channel|>", 0, PieceType::kControl).piece("rare", 0, PieceType::kUnused);
  const Vocabulary vocabulary = load(settings() + base_pieces() + model.bytes()).value();
  const std::vector<PieceType> types(vocabulary.types.begin() + 260, vocabulary.types.end());
  EXPECT_EQ(types, (std::vector<PieceType>{PieceType::kNormal, PieceType::kNormal, PieceType::kControl,
                                           PieceType::kUserDefined, PieceType::kUserDefined, PieceType::kUserDefined,
                                           PieceType::kUnused}));
}

TEST(SentencePiece, IgnoresWhatItDoesNotNeed) {
  const std::string extra = RawModel().text(60, "self test").number(99, 1).text(200, "later").bytes();
  EXPECT_TRUE(load(extra + settings(kTrainer + extra, kNormalizer + extra) + base_pieces()).ok());
}

TEST(SentencePiece, RefusesOtherFormsByName) {
  const auto trainer = [](uint32_t field, uint64_t value) {
    return settings(kTrainer + RawModel().number(field, value).bytes()) + base_pieces();
  };
  const auto normalizer = [](uint32_t field, uint64_t value) {
    return settings(kTrainer, kNormalizer + RawModel().number(field, value).bytes()) + base_pieces();
  };
  expect_refused(trainer(3, 1), "trainer_spec.model_type: expected 2 (BPE), found 1");
  expect_refused(trainer(24, 1), "treat_whitespace_as_suffix");
  expect_refused(trainer(35, 0), "byte_fallback");
  expect_refused(normalizer(3, 1), "normalizer_spec.add_dummy_prefix: expected false");
  expect_refused(normalizer(4, 1), "remove_extra_whitespaces");
  expect_refused(normalizer(5, 0), "escape_whitespaces");
  expect_refused(settings(kTrainer, kNormalizer + RawModel().text(2, "map").bytes()) + base_pieces(),
                 "precompiled_charsmap");
  expect_refused(base_pieces(), "trainer_spec.model_type: expected 2 (BPE), found 1");
  expect_refused(settings(), "has no pieces");
}

TEST(SentencePiece, RefusesIdsAndTypesOutOfRange) {
  const auto trainer = [](uint32_t field, uint64_t value) {
    return settings(kTrainer + RawModel().number(field, value).bytes()) + base_pieces();
  };
  expect_refused(trainer(41, 260), "trainer_spec.bos_id: expected less than 260, found 260");
  expect_refused(trainer(43, uint64_t{0} - 2), "trainer_spec.pad_id: expected less than 260, found -2");
  expect_refused(trainer(42, uint64_t{0} - 1), "has no piece <bos> or <eos>");
  expect_refused(settings() + RawModel().piece("a", 0, static_cast<PieceType>(7)).bytes(), "has the type 7");
}

TEST(SentencePiece, RefusesDamagedPieces) {
  const auto with = [](std::string_view piece, float score) {
    return settings() + base_pieces() + RawModel().piece(piece, score, PieceType::kNormal).bytes();
  };
  expect_refused(with("", 0), "piece 260: expected 1 to 256 bytes of UTF-8, found 0");
  expect_refused(with(std::string(257, 'a'), 0), "found 257");
  expect_refused(with("\xff", 0), "UTF-8");
  expect_refused(with("a", NAN), "a score that is no number");
  expect_refused(with("<pad>", 0), "has the ids 0 and 260");
  expect_refused(settings() + RawModel().number(1, 5).bytes(), "field 1: is of another kind");
  expect_refused(settings() + RawModel().text(1, RawModel().number(1, 5).bytes()).bytes(), "text: is of another kind");
}

TEST(SentencePiece, RefusesPiecesWithoutEndOfSplits) {
  RawModel model;
  for (size_t length = 1; length <= 256; ++length) model.piece(std::string(length, 'a'), 0, PieceType::kNormal);
  expect_refused(settings() + base_pieces() + model.bytes(), "its pieces can be put together from others");
}

TEST(SentencePiece, EveryTruncationIsRefused) {
  const std::string whole = settings() + base_pieces();
  ASSERT_TRUE(load(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(load(whole.substr(0, size)).ok()) << size;
}

TEST(SentencePiece, RefusesAFileThatIsNoModel) {
  expect_refused("{\"version\": \"1.0\"}", "");
  expect_refused("", "has no pieces");
  expect_refused(std::string(1000, '\xff'), "");
}

}  // namespace
}  // namespace carat
