#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/file_map.h"
#include "base/utf8.h"
#include "formats/sentencepiece.h"
#include "tests/support/opal.h"

namespace carat {
namespace {

using Ids = std::vector<int32_t>;

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16));
  }
  return bytes;
}

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, const Ids& ids) {
  std::vector<std::string> pieces;
  for (const int32_t id : ids) pieces.emplace_back(tokenizer.piece(id));
  return pieces;
}

// The merge loop in its plainest form: look at all neighbours, merge the best pair, start again.
Ids encode_slowly(const Vocabulary& vocabulary, const Tokenizer& tokenizer, std::vector<std::string> symbols) {
  for (;;) {
    size_t best_rank = vocabulary.merges.size();
    size_t best_at = 0;
    for (size_t at = 0; at + 1 < symbols.size(); ++at) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        const Merge merge = vocabulary.merges[rank];
        if (tokenizer.piece(merge.left) != symbols[at] || tokenizer.piece(merge.right) != symbols[at + 1]) continue;
        best_rank = rank;
        best_at = at;
      }
    }
    if (best_rank == vocabulary.merges.size()) break;
    symbols[best_at] += symbols[best_at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(tokenizer.find(symbol));
  return ids;
}

void expect_golden_ids(const Vocabulary& vocabulary) {
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  std::ifstream golden(std::string(CARAT_SOURCE_DIR) + "/tests/golden/tokenizer/opal.jsonl");
  int count = 0;
  for (std::string line; std::getline(golden, line); ++count) {
    const nlohmann::json expected = nlohmann::json::parse(line);
    const std::string text = expected.contains("hex") ? bytes_of_hex(expected["hex"]) : std::string(expected["text"]);
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(ids, expected["ids"].get<Ids>()) << line;
    if (text.find("\u2581") == std::string::npos) {
      EXPECT_EQ(tokenizer.decode(ids), to_valid_utf8(text)) << line;
    }
  }
  EXPECT_EQ(count, 1000);
}

TEST(Tokenizer, GivesTheGoldenIds) { expect_golden_ids(test::opal_vocabulary()); }

TEST(Tokenizer, GivesTheGoldenIdsFromASentencePieceModel) {
  const FileMap file = FileMap::open(std::string(CARAT_SOURCE_DIR) + "/tests/golden/tokenizer/opal.model").value();
  expect_golden_ids(vocabulary_from_sentencepiece(file.bytes(), "opal.model").value());
}

TEST(Tokenizer, WhatEndsAGenerationIsNoText) {
  Vocabulary vocabulary = test::opal_vocabulary();
  const Ids ids = {10, 9, 30};  // <tool_response|>, <|tool_response>, seven newlines
  EXPECT_EQ(Tokenizer::create(vocabulary).value().decode(ids), "<tool_response|><|tool_response>\n\n\n\n\n\n\n");
  vocabulary.stop = {1, 16, 9};
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  EXPECT_EQ(tokenizer.decode(ids), "<tool_response|>\n\n\n\n\n\n\n");
  EXPECT_EQ(tokenizer.decode(ids, ControlPieces::kKeep), "<tool_response|><|tool_response>\n\n\n\n\n\n\n");
}

TEST(Tokenizer, AnEndOfTextThatAFileCallsNormalIsNoText) {
  Vocabulary vocabulary = test::opal_vocabulary();
  vocabulary.types[1] = PieceType::kNormal;
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  EXPECT_EQ(tokenizer.decode(Ids{1, 30}), "\n\n\n\n\n\n\n");
  for (const int32_t id : tokenizer.encode("<eos>")) EXPECT_NE(id, 1);
  EXPECT_EQ(tokenizer.encode("<eos>", true), Ids{1});
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  const bool held = rc::check("decode(encode(x)) == x", [&](const std::vector<uint8_t>& bytes) {
    const std::string text = to_valid_utf8(std::string(bytes.begin(), bytes.end()));
    RC_PRE(text.find("\u2581") == std::string::npos);
    RC_ASSERT(tokenizer.decode(tokenizer.encode(text)) == text);
  });
  EXPECT_TRUE(held);
}

TEST(Tokenizer, ALiteralLowerBlockIsASpace) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  EXPECT_EQ(tokenizer.encode("a\u2581b"), tokenizer.encode("a b"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\u2581b")), "a b");
}

TEST(Tokenizer, TypedTextNeverYieldsASpecialPiece) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  std::string all;
  for (int32_t id = 0; id < 24; ++id) all += tokenizer.piece(id);
  for (const int32_t id : tokenizer.encode(all)) EXPECT_GE(id, 24);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(all)), all);
}

TEST(Tokenizer, ParsesSpecialPiecesOnRequest) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  const Ids ids = tokenizer.encode("<bos><|turn>user\nhi there <turn|>", true);
  EXPECT_EQ(pieces_of(tokenizer, ids), (std::vector<std::string>{"<bos>", "<|turn>", "us", "er", "\n", "h", "i",
                                                                 "\u2581there", "\u2581", "<turn|>"}));
}

TEST(Tokenizer, TakesTheLongestSpecialPiece) {
  Vocabulary vocabulary = test::opal_vocabulary();
  for (const char* piece : {"<turn|><turn", "<turn|><turn|>"}) {
    vocabulary.pieces.emplace_back(piece);
    vocabulary.types.push_back(PieceType::kControl);
    vocabulary.scores.push_back(0.0f);
  }
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  EXPECT_EQ(tokenizer.encode("<turn|><turn|><turn|>", true), (Ids{4097, 16}));
  EXPECT_EQ(tokenizer.encode("<turn|><turn", true), (Ids{4096}));
}

TEST(Tokenizer, TextDoesNotMergeIntoASpecialPiece) {
  Vocabulary vocabulary = test::opal_vocabulary();
  const int32_t the = Tokenizer::create(vocabulary)->find("the");
  ASSERT_GE(the, 0);
  vocabulary.types[static_cast<size_t>(the)] = PieceType::kControl;
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  for (const int32_t id : tokenizer.encode("xthe")) EXPECT_NE(id, the);
  EXPECT_EQ(tokenizer.encode("the", true), Ids{the});
}

TEST(Tokenizer, NewlineRunsArePiecesOfTheirOwn) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  for (size_t count = 1; count <= 8; ++count) {
    const Ids ids = tokenizer.encode("a" + std::string(count, '\n') + "b");
    ASSERT_EQ(ids.size(), 3u);
    EXPECT_EQ(tokenizer.piece(ids[1]), std::string(count, '\n'));
  }
  EXPECT_EQ(tokenizer.encode(std::string(9, '\n')).size(), 2u);
}

TEST(Tokenizer, ControlPiecesCanBeLeftOut) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  const Ids ids = tokenizer.encode("<bos><|turn>a<|channel>b<turn|>", true);
  EXPECT_EQ(tokenizer.decode(ids), "a<|channel>b");
  EXPECT_EQ(tokenizer.decode(ids, ControlPieces::kKeep), "<bos><|turn>a<|channel>b<turn|>");
}

TEST(Tokenizer, DecodesCutCharactersAsReplacements) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  EXPECT_EQ(tokenizer.decode(Ids{tokenizer.find("a"), tokenizer.find("<0xF0>"), tokenizer.find("<0x9F>")}), "a\uFFFD");
}

TEST(Tokenizer, TreatsEosAsControlWhateverItsType) {
  Vocabulary vocabulary = test::opal_vocabulary();
  vocabulary.types[1] = PieceType::kNormal;
  const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  EXPECT_EQ(tokenizer.decode(Ids{1}), "");
  EXPECT_EQ(tokenizer.encode("<eos>", true), Ids{1});
}

TEST(Tokenizer, RefusesABrokenVocabulary) {
  Vocabulary vocabulary = test::opal_vocabulary();
  vocabulary.merges.push_back({0, 1});
  EXPECT_FALSE(Tokenizer::create(vocabulary).ok());
  EXPECT_FALSE(Tokenizer::create(Vocabulary{}).ok());
}

// Two letters and many overlapping pieces: ties, stale heap entries and merges across several splits all occur.
TEST(Tokenizer, MergesLikeThePlainLoop) {
  std::mt19937 random(7);
  for (int round = 0; round < 30; ++round) {
    Vocabulary vocabulary = test::opal_vocabulary();
    vocabulary.merges.clear();
    vocabulary.pieces.resize(288);
    for (const char* piece : {"a", "b", "\u2581"}) vocabulary.pieces.emplace_back(piece);
    for (size_t tries = 0; tries < 40; ++tries) {
      const size_t count = vocabulary.pieces.size();
      const Merge merge = {static_cast<int32_t>(288 + random() % (count - 288)),
                           static_cast<int32_t>(288 + random() % (count - 288))};
      const std::string whole =
          vocabulary.pieces[static_cast<size_t>(merge.left)] + vocabulary.pieces[static_cast<size_t>(merge.right)];
      if (std::ranges::count(vocabulary.pieces, whole) == 0) vocabulary.pieces.push_back(whole);
      vocabulary.merges.push_back(merge);
    }
    std::ranges::shuffle(vocabulary.merges, random);
    vocabulary.types.resize(vocabulary.pieces.size(), PieceType::kNormal);
    vocabulary.scores.resize(vocabulary.pieces.size(), 0.0f);
    const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
    for (int sample = 0; sample < 20; ++sample) {
      std::string text;
      std::vector<std::string> symbols;
      for (size_t length = random() % 40; length > 0; --length) {
        const char letter = "aab "[random() % 4];
        text += letter;
        symbols.push_back(letter == ' ' ? "\u2581" : std::string(1, letter));
      }
      ASSERT_EQ(tokenizer.encode(text), encode_slowly(vocabulary, tokenizer, symbols)) << text;
    }
  }
}

// A quadratic merge loop would need hours for this.
TEST(Tokenizer, EncodesALongRunWithoutSpaces) {
  const Tokenizer tokenizer = Tokenizer::create(test::opal_vocabulary()).value();
  std::string text;
  while (text.size() < (size_t{4} << 20)) text += "onceuponatimetherewasatokenizer";
  const Ids ids = tokenizer.encode(text);
  EXPECT_LT(ids.size(), text.size() / 2);
  EXPECT_EQ(tokenizer.decode(ids), text);
}

}  // namespace
}  // namespace carat
