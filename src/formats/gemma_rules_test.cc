#include "formats/gemma_rules.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file_map.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

GemmaRules rules(const std::string& text) { return GemmaRules::read(ordered_json::parse(text), "config.json").value(); }

void expect_settings_refused(const ordered_json& quantization, const std::string& message) {
  const auto read = GemmaRules::read(quantization, "config.json");
  ASSERT_FALSE(read.ok()) << quantization.dump();
  EXPECT_EQ(read.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(read.error().message.starts_with("config.json: quantization_config.")) << read.error().message;
  EXPECT_NE(read.error().message.find(message), std::string::npos) << read.error().message;
}

void expect_refused(const std::string& text, const std::string& message) {
  expect_settings_refused(ordered_json::parse(text), message);
}

// Written by tests/oracle/gemma_quant_rules.py.
TEST(GemmaRules, DecideAsTransformersDoes) {
  const std::filesystem::path path = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/mobile/rules.json";
  const ordered_json golden = ordered_json::parse(read_text_file(path, 1 << 20).value());
  const auto linears = golden["linears"].get<std::vector<std::string>>();
  const auto embeddings = golden["embeddings"].get<std::vector<std::string>>();
  size_t quantized = 0;
  for (const ordered_json& entry : golden["cases"]) {
    const GemmaRules found = GemmaRules::read(entry["quantization_config"], "config.json").value();
    const auto expected = entry["bits"].get<std::vector<int>>();
    ASSERT_EQ(expected.size(), linears.size() + embeddings.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const bool linear = i < linears.size();
      const std::string& name = linear ? linears[i] : embeddings[i - linears.size()];
      EXPECT_EQ((linear ? found.bits_of_linear(name) : found.bits_of_embedding(name)).value_or(0), expected[i])
          << name << " " << entry["quantization_config"].dump();
      quantized += expected[i] != 0;
    }
  }
  EXPECT_GT(golden["cases"].size(), 60u);
  EXPECT_GT(quantized, 500u);
}

TEST(GemmaRules, NamesThePatternsThatAreFoundNowhere) {
  const GemmaRules found = rules(R"({"module_quant_configs": {"mlp": {"num_bits": 2}, "layers\\.7\\.": {"num_bits": 8},
                                     "k_proj$": {"num_bits": 4}}})");
  EXPECT_EQ(found.unused_patterns({"model.layers.1.mlp.up_proj"}),
            (std::vector<std::string>{"layers\\.7\\.", "k_proj$"}));
  EXPECT_TRUE(found.unused_patterns({"model.layers.7.self_attn.k_proj", "mlp"}).empty());
}

TEST(GemmaRules, RefusesWhatIsNoSetOfRules) {
  expect_refused(R"({"num_bits": 3})", "num_bits: expected 2, 4 or 8, found 3");
  expect_refused(R"({"num_bits": "4"})", "num_bits: expected an integer");
  expect_refused(R"({"quantize_embeddings": 1})", "quantize_embeddings: expected true or false");
  expect_refused(R"({"module_quant_configs": []})", "module_quant_configs: expected an object");
  expect_refused(R"({"module_quant_configs": {"a": 4}})", "expected an object, found number 4");
  expect_refused(R"({"module_quant_configs": {"a": {"num_bits": 16}}})", "expected 2, 4 or 8, found 16");
  expect_refused(R"({"module_quant_configs": {"a": {"num_bits": "2"}}})", "[\"a\"].num_bits: expected an integer");
  expect_refused(R"({"module_quant_configs": {"a": {"bits": 4}}})", "\"bits\" is not known");
  expect_refused(R"({"modules_to_not_convert": "lm_head"})", "modules_to_not_convert: expected an array");
  expect_refused(R"({"modules_to_not_convert": [1]})", "expected names of modules, found number");
}

TEST(GemmaRules, RefusesPatternsThatCannotBeUsed) {
  for (const std::string pattern : {"(", "a)|(b", "(a)\\1", "(?=a)", "a{2000}", "((((a{100}){100}){100}){100})"}) {
    expect_settings_refused({{"module_quant_configs", {{pattern, {{"num_bits", 4}}}}}}, "cannot be used");
    expect_settings_refused({{"modules_to_not_convert", {pattern}}}, "cannot be used");
  }
  expect_settings_refused({{"module_quant_configs", {{std::string(8193, 'a'), {{"num_bits", 4}}}}}},
                          "expected at most 8192");
  ordered_json many = ordered_json::object();
  for (int i = 0; i < 129; ++i) many["a" + std::to_string(i)] = {{"num_bits", 4}};
  expect_settings_refused({{"module_quant_configs", many}}, "129 patterns, expected at most 128");
  expect_settings_refused({{"modules_to_not_convert", std::vector<std::string>(129, "a")}}, "129 names");
}

TEST(GemmaRules, PatternsThatBacktrackTakeTimeInProportionToTheName) {
  const GemmaRules found = rules(R"({"module_quant_configs": {"(a*)*(a*)*(a*)*b": {"num_bits": 2}}})");
  EXPECT_EQ(found.bits_of_linear(std::string(100000, 'a')), 4);
}

TEST(GemmaRules, RefusesPatternsThatTakeTooLongWithTheNames) {
  const std::string slow = ".*a.{0,200}b.{0,200}c";
  constexpr size_t kCharacters = size_t{1} << 20;
  EXPECT_TRUE(rules(R"({"module_quant_configs": {"mlp": {"num_bits": 2}}})").check_effort(kCharacters, "m").ok());
  for (const ordered_json& settings : {ordered_json{{"module_quant_configs", {{slow, {{"num_bits", 2}}}}}},
                                       ordered_json{{"modules_to_not_convert", {slow}}}}) {
    const GemmaRules found = GemmaRules::read(settings, "m").value();
    EXPECT_TRUE(found.check_effort(1000, "m").ok());
    const Status refusal = found.check_effort(kCharacters, "m");
    ASSERT_FALSE(refusal.ok());
    EXPECT_TRUE(refusal.error().message.starts_with("m: quantization_config: its regular expressions have"));
  }
}

}  // namespace
}  // namespace carat
