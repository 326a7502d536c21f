#include "formats/vocabulary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file_map.h"

namespace carat {
namespace {

using nlohmann::json;

const std::string kOpal = std::string(CARAT_SOURCE_DIR) + "/models/opal/";

std::string read(const std::string& name) { return read_text_file(kOpal + name, size_t{1} << 20).value(); }

// A small file of the right form: five base pieces, 256 bytes, "a", "b", "ab", one added piece.
json small_file() {
  json file;
  file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  file["pre_tokenizer"] = nullptr;
  json& model = file["model"];
  model = {{"type", "BPE"}, {"byte_fallback", true}, {"vocab", json::object()}, {"merges", json::array()}};
  int id = 0;
  for (const char* piece : {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>"}) {
    file["added_tokens"].push_back({{"id", id}, {"content", piece}, {"special", true}});
    model["vocab"][piece] = id++;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string digits = "0123456789ABCDEF";
    model["vocab"][std::string("<0x") + digits[static_cast<size_t>(byte / 16)] +
                   digits[static_cast<size_t>(byte % 16)] + ">"] = id++;
  }
  for (const char* piece : {"a", "b", "ab"}) model["vocab"][piece] = id++;
  model["merges"].push_back("a b");
  return file;
}

Result<Vocabulary> load(const json& file) { return vocabulary_from_tokenizer_json(file.dump(), "small.json"); }

void expect_refused(const json& file, const std::string& message) {
  const Result<Vocabulary> loaded = load(file);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(loaded.error().message.starts_with("small.json: ")) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(message), std::string::npos) << loaded.error().message;
}

TEST(TokenizerJson, ReadsOpal) {
  const Vocabulary opal = vocabulary_from_tokenizer_json(read("tokenizer.json"), "tokenizer.json").value();
  ASSERT_EQ(opal.size(), 4096);
  EXPECT_EQ(opal.padding, 0);
  EXPECT_EQ(opal.eos, 1);
  EXPECT_EQ(opal.bos, 2);
  EXPECT_EQ(opal.unknown, 3);
  EXPECT_EQ(opal.mask, 4);
  EXPECT_EQ(opal.stop, std::vector<int32_t>{1});
  EXPECT_EQ(opal.pieces[15], "<|turn>");
  EXPECT_EQ(opal.types[15], PieceType::kControl);
  EXPECT_EQ(opal.pieces[11], "<|\"|>");
  EXPECT_EQ(opal.types[11], PieceType::kUserDefined);
  EXPECT_EQ(opal.scores[11], -1000.0f);
  EXPECT_EQ(opal.pieces[24], "\n");
  EXPECT_EQ(opal.types[24], PieceType::kNormal);
  EXPECT_EQ(opal.pieces[32 + 0xAB], "<0xAB>");
  EXPECT_EQ(opal.types[32 + 0xAB], PieceType::kByte);
  EXPECT_EQ(std::ranges::count(opal.types, PieceType::kUserDefined), 7);
  EXPECT_EQ(std::ranges::count(opal.types, PieceType::kByte), 256);
  EXPECT_EQ(opal.pieces[static_cast<size_t>(opal.merges[0].left)], "\n");
}

TEST(TokenizerJson, WritesTheBytesItRead) {
  const std::string text = read("tokenizer.json");
  const Vocabulary opal = vocabulary_from_tokenizer_json(text, "tokenizer.json").value();
  EXPECT_TRUE(vocabulary_to_tokenizer_json(opal) == text);
}

TEST(TokenizerJson, ReadsBothFormsOfMerges) {
  json file = small_file();
  const Vocabulary from_lines = load(file).value();
  file["model"]["merges"] = json::array({json::array({"a", "b"})});
  const Vocabulary from_pairs = load(file).value();
  for (const Vocabulary& vocabulary : {from_lines, from_pairs}) {
    ASSERT_EQ(vocabulary.merges.size(), 1u);
    EXPECT_EQ(vocabulary.merges[0].left, 261);
    EXPECT_EQ(vocabulary.merges[0].right, 262);
  }
}

TEST(TokenizerJson, AMergeLineMayBeginWithASpace) {
  json file = small_file();
  file["model"]["vocab"][" "] = 264;
  file["model"]["vocab"][" b"] = 265;
  file["model"]["merges"].push_back("  b");
  const Vocabulary vocabulary = load(file).value();
  EXPECT_EQ(vocabulary.merges[1].left, 264);
  EXPECT_EQ(vocabulary.merges[1].right, 262);
}

TEST(TokenizerJson, AddsTokensThatTheModelDoesNotHave) {
  json file = small_file();
  file["added_tokens"].push_back({{"id", 264}, {"content", "<|channel>"}, {"special", true}});
  file["added_tokens"].push_back({{"id", 265}, {"content", "<|turn>"}, {"special", true}});
  file["added_tokens"].push_back({{"id", 266}, {"content", "<|mine|>"}, {"special", false}});
  const Vocabulary vocabulary = load(file).value();
  ASSERT_EQ(vocabulary.size(), 267);
  EXPECT_EQ(vocabulary.types[264], PieceType::kUserDefined) << "an answer's parser has to see it";
  EXPECT_EQ(vocabulary.types[265], PieceType::kControl);
  EXPECT_EQ(vocabulary.types[266], PieceType::kUserDefined);
}

TEST(TokenizerJson, IgnoresWhatItDoesNotNeed) {
  json file = small_file();
  file["padding"] = {{"model", {{"type", 5}}}};
  file["model"]["dropout"] = 0.5;
  file["decoder"] = json::parse(std::string(200, '[') + std::string(200, ']'));
  EXPECT_TRUE(load(file).ok());
}

TEST(TokenizerJson, RefusesWhatIsNoJson) {
  for (const std::string text : {"", "{", "{\"model\":", "\xFF", "{\"a\":1}}", "{\"a\":1e999}"}) {
    const auto loaded = vocabulary_from_tokenizer_json(text, "x.json");
    ASSERT_FALSE(loaded.ok()) << text;
    EXPECT_NE(loaded.error().message.find("no valid JSON"), std::string::npos) << loaded.error().message;
  }
}

TEST(TokenizerJson, SurvivesDeepNesting) {
  const std::string deep = "{\"model\":" + std::string(1 << 20, '[');
  EXPECT_FALSE(vocabulary_from_tokenizer_json(deep, "x.json").ok());
}

TEST(TokenizerJson, RefusesOtherRoots) {
  EXPECT_FALSE(vocabulary_from_tokenizer_json("[]", "x.json").ok());
  EXPECT_FALSE(vocabulary_from_tokenizer_json("3", "x.json").ok());
}

TEST(TokenizerJson, RefusesOtherModels) {
  json file = small_file();
  file["model"]["type"] = "Unigram";
  expect_refused(file, "model.type is \"Unigram\", expected \"BPE\"");
}

TEST(TokenizerJson, RefusesNoByteFallback) {
  json file = small_file();
  file["model"]["byte_fallback"] = false;
  expect_refused(file, "model.byte_fallback is not true");
}

TEST(TokenizerJson, RefusesAMissingBytePiece) {
  json file = small_file();
  file["model"]["vocab"].erase("<0x7F>");
  file["model"]["vocab"]["<0x7f>"] = 5 + 0x7F;
  expect_refused(file, "has no byte piece <0x7F>");
}

TEST(TokenizerJson, RefusesOtherNormalizers) {
  json file = small_file();
  file["normalizer"]["type"] = "NFC";
  expect_refused(file, "normalizer: expected only the replacement of a space by U+2581, found type \"NFC\"");
}

TEST(TokenizerJson, RefusesOtherPreTokenizers) {
  json file = small_file();
  file["pre_tokenizer"] = {{"type", "ByteLevel"}};
  expect_refused(file, "pre_tokenizer: expected none or \"Split\", found \"ByteLevel\"");
}

TEST(TokenizerJson, RefusesHolesInTheIds) {
  json file = small_file();
  file["model"]["vocab"]["c"] = 265;
  expect_refused(file, "piece \"c\" has the id 265, but 265 pieces need ids below 265 without holes");
}

TEST(TokenizerJson, RefusesAnIdTwice) {
  json file = small_file();
  file["model"]["vocab"]["c"] = 263;
  expect_refused(file, "two pieces have the id 263");
}

TEST(TokenizerJson, RefusesAPieceTwice) {
  std::string text = small_file().dump();
  const std::string entry = "\"ab\":263";
  text.replace(text.find(entry), entry.size(), "\"ab\":263,\"ab\":264");
  const auto loaded = vocabulary_from_tokenizer_json(text, "x.json");
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("piece \"ab\" has the ids 263 and 264"), std::string::npos);
}

TEST(TokenizerJson, RefusesWrongTypesOfIds) {
  for (const json& id : {json("1"), json(-1), json(1.5), json(nullptr), json::array(), json::object(), json(true)}) {
    json file = small_file();
    file["model"]["vocab"]["ab"] = id;
    expect_refused(file, "model: vocab: ab: found ");
  }
}

TEST(TokenizerJson, RefusesHugeIds) {
  json file = small_file();
  file["model"]["vocab"]["ab"] = UINT64_MAX;
  expect_refused(file, "piece \"ab\" has the id 18446744073709551615");
}

TEST(TokenizerJson, RefusesMergesOfOtherForms) {
  const json wrong[] = {json("ab"),
                        json(3),
                        json(nullptr),
                        json::array({"a"}),
                        json::array({"a", "b", "ab"}),
                        json::array({"a", 1}),
                        json::array({"a", json::array()}),
                        json::array({"a", json::object()}),
                        json::object(),
                        json::array()};
  for (const json& merge : wrong) {
    json file = small_file();
    file["model"]["merges"].push_back(merge);
    expect_refused(file, "model: merges: []: ");
  }
}

TEST(TokenizerJson, RefusesMergesOfUnknownPieces) {
  json file = small_file();
  file["model"]["merges"].push_back("a c");
  expect_refused(file, "merge 1 joins \"a\" and \"c\"; expected two pieces");
}

TEST(TokenizerJson, RefusesMergesThatBuildNoPiece) {
  json file = small_file();
  file["model"]["merges"].push_back("b a");
  expect_refused(file, "merge 1: builds \"ba\", which is no piece");
}

TEST(TokenizerJson, RefusesAddedTokensWithoutIdOrText) {
  json file = small_file();
  file["added_tokens"].push_back({{"id", 264}});
  expect_refused(file, "added_tokens: an entry has no \"id\" or no \"content\"");
  file = small_file();
  file["added_tokens"].push_back({{"content", "x"}});
  expect_refused(file, "added_tokens: an entry has no \"id\" or no \"content\"");
}

TEST(TokenizerJson, RefusesAnAddedTokenUnderAnotherId) {
  json file = small_file();
  file["added_tokens"].push_back({{"id", 4}, {"content", "ab"}, {"special", true}});
  expect_refused(file, "added token \"ab\" has the id 4, but 263 in model.vocab");
}

TEST(TokenizerJson, RefusesAVocabularyWithoutBaseIds) {
  for (const char* piece : {"<bos>", "<eos>"}) {
    std::string text = small_file().dump();
    for (size_t at = text.find(piece); at != std::string::npos; at = text.find(piece)) text[at + 1] = 'x';
    const auto loaded = vocabulary_from_tokenizer_json(text, "x.json");
    ASSERT_FALSE(loaded.ok());
    EXPECT_NE(loaded.error().message.find("has no piece <bos> or <eos>"), std::string::npos);
  }
}

TEST(TokenizerJson, RefusesTooManyPieces) {
  json file = small_file();
  for (int64_t id = 264; id <= kLargestVocabulary; ++id) file["model"]["vocab"]["p" + std::to_string(id)] = id;
  expect_refused(file, "1048577 pieces, expected at most 1048576");
}

TEST(CheckVocabulary, RefusesMergesOutsideTheVocabulary) {
  Vocabulary vocabulary = load(small_file()).value();
  for (const Merge merge : {Merge{-1, 0}, Merge{0, 264}}) {
    vocabulary.merges = {merge};
    const auto checked = check_vocabulary(vocabulary, "x.gguf");
    ASSERT_FALSE(checked.ok());
    EXPECT_TRUE(checked.error().message.starts_with("x.gguf: merge 0: joins the ids ")) << checked.error().message;
  }
}

TEST(CheckVocabulary, RefusesPiecesThatAreNoText) {
  Vocabulary vocabulary = load(small_file()).value();
  for (const char* piece : {"", "\xff", "a\xc3"}) {
    vocabulary.pieces.back() = piece;
    const auto checked = check_vocabulary(vocabulary, "x.gguf");
    ASSERT_FALSE(checked.ok());
    EXPECT_TRUE(checked.error().message.starts_with("x.gguf: piece 263 is \"")) << checked.error().message;
  }
}

TEST(CheckVocabulary, RefusesMissingTypesAndScores) {
  Vocabulary vocabulary = load(small_file()).value();
  vocabulary.types.pop_back();
  EXPECT_FALSE(check_vocabulary(vocabulary, "x.gguf").ok());
  vocabulary = load(small_file()).value();
  vocabulary.scores.pop_back();
  EXPECT_FALSE(check_vocabulary(vocabulary, "x.gguf").ok());
}

TEST(CheckVocabulary, RefusesBaseIdsOutsideTheVocabulary) {
  for (int32_t Vocabulary::*id : {&Vocabulary::bos, &Vocabulary::eos, &Vocabulary::mask, &Vocabulary::padding}) {
    Vocabulary vocabulary = load(small_file()).value();
    vocabulary.*id = 264;
    EXPECT_FALSE(check_vocabulary(vocabulary, "x.gguf").ok());
  }
}

TEST(CheckVocabulary, RefusesBytePiecesOfAnotherType) {
  Vocabulary vocabulary = load(small_file()).value();
  vocabulary.types[5] = PieceType::kNormal;
  EXPECT_FALSE(check_vocabulary(vocabulary, "x.gguf").ok());
}

TEST(CheckVocabulary, GivesWhatEachMergeBuilds) {
  const Vocabulary vocabulary = load(small_file()).value();
  EXPECT_EQ(check_vocabulary(vocabulary, "x.gguf").value(), std::vector<int32_t>{263});
}

TEST(GenerationConfig, ReadsAndWritesOpal) {
  Vocabulary opal = vocabulary_from_tokenizer_json(read("tokenizer.json"), "tokenizer.json").value();
  opal.sampling = {0.5f, 1, 0.5f};
  const std::string text = read("generation_config.json");
  ASSERT_TRUE(read_generation_config(text, "generation_config.json", opal).ok());
  EXPECT_EQ(opal.stop, (std::vector<int32_t>{1, 16, 9}));
  EXPECT_EQ(opal.sampling.temperature, 1.0f);
  EXPECT_EQ(opal.sampling.top_k, 64);
  EXPECT_EQ(opal.sampling.top_p, 0.95f);
  EXPECT_EQ(generation_config_json(opal), text);
}

TEST(GenerationConfig, ReadsAndWritesSuppressedIds) {
  Vocabulary vocabulary = load(small_file()).value();
  ASSERT_TRUE(read_generation_config(R"({"suppress_tokens": null})", "g.json", vocabulary).ok());
  EXPECT_TRUE(vocabulary.suppressed.empty());
  ASSERT_TRUE(read_generation_config(R"({"suppress_tokens": [7, 5]})", "g.json", vocabulary).ok());
  EXPECT_EQ(vocabulary.suppressed, (std::vector<int32_t>{7, 5}));
  const std::string written = generation_config_json(vocabulary);
  vocabulary.suppressed.clear();
  ASSERT_TRUE(read_generation_config(written, "g.json", vocabulary).ok());
  EXPECT_EQ(vocabulary.suppressed, (std::vector<int32_t>{7, 5}));
  for (const char* wrong : {R"({"suppress_tokens": [-1]})", R"({"suppress_tokens": [264]})",
                            R"({"suppress_tokens": "7"})", R"({"suppress_tokens": [7.5]})"}) {
    const Status status = read_generation_config(wrong, "g.json", vocabulary);
    ASSERT_FALSE(status.ok()) << wrong;
    EXPECT_TRUE(status.error().message.starts_with("g.json: suppress_tokens: expected ids from 0 to 263, found "))
        << status.error().message;
  }
  EXPECT_EQ(vocabulary.suppressed, (std::vector<int32_t>{7, 5}));
}

TEST(GenerationConfig, KeepsWhatTheFileDoesNotName) {
  Vocabulary vocabulary = load(small_file()).value();
  vocabulary.sampling = {0.5f, 7, 0.25f};
  ASSERT_TRUE(read_generation_config("{\"eos_token_id\":null}", "g.json", vocabulary).ok());
  EXPECT_EQ(vocabulary.stop, std::vector<int32_t>{1});
  EXPECT_EQ(vocabulary.sampling.top_k, 7);
  ASSERT_TRUE(read_generation_config("{\"eos_token_id\":4}", "g.json", vocabulary).ok());
  EXPECT_EQ(vocabulary.stop, std::vector<int32_t>{4});
}

TEST(GenerationConfig, GreedyIsTemperatureZero) {
  Vocabulary vocabulary = load(small_file()).value();
  ASSERT_TRUE(read_generation_config("{\"do_sample\":false,\"temperature\":0.7}", "g.json", vocabulary).ok());
  EXPECT_EQ(vocabulary.sampling.temperature, 0.0f);
  EXPECT_NE(generation_config_json(vocabulary).find("\"do_sample\": false"), std::string::npos);
}

TEST(GenerationConfig, RefusesWrongValuesAndChangesNothing) {
  for (const std::string text :
       {"", "[]", "{\"eos_token_id\":264}", "{\"eos_token_id\":-1}", "{\"eos_token_id\":[1,\"2\"]}",
        "{\"eos_token_id\":1.0}", "{\"eos_token_id\":18446744073709551615}", "{\"eos_token_id\":{\"a\":1}}",
        "{\"temperature\":-1}", "{\"temperature\":\"hot\"}", "{\"temperature\":1e300}", "{\"top_k\":-1}",
        "{\"top_k\":4294967296}", "{\"top_k\":1.5}", "{\"top_p\":0}", "{\"top_p\":1.5}", "{\"do_sample\":1}",
        "{\"top_k\":5,\"eos_token_id\":999}"}) {
    Vocabulary vocabulary = load(small_file()).value();
    const Status read = read_generation_config(text, "g.json", vocabulary);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().kind, ErrorKind::kRefused);
    EXPECT_TRUE(read.error().message.starts_with("g.json: ")) << read.error().message;
    EXPECT_EQ(vocabulary.stop, std::vector<int32_t>{1});
    EXPECT_EQ(vocabulary.sampling.top_k, 64);
  }
}

}  // namespace
}  // namespace carat
