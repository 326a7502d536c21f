#include "formats/mlx_rules.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

MlxRules rules_of(const char* json) {
  return MlxRules::read(nlohmann::ordered_json::parse(json), "config.json").value();
}

TEST(MlxRules, AModuleIsStoredAsItsOwnMemberSays) {
  const MlxRules rules = rules_of(R"({"group_size": 32, "bits": 4, "mode": "affine", "a": {"group_size": 64, "bits": 8},
      "b": false, "c": true, "d": {"group_size": 128, "bits": 2, "mode": "affine"}})");
  EXPECT_EQ(rules.codes_of("other"), (MlxCodes{4, 32}));
  EXPECT_EQ(rules.codes_of("a"), (MlxCodes{8, 64}));
  EXPECT_EQ(rules.codes_of("b"), std::nullopt);
  EXPECT_EQ(rules.codes_of("c"), (MlxCodes{4, 32}));
  EXPECT_EQ(rules.codes_of("d"), (MlxCodes{2, 128}));
  EXPECT_FALSE(rules.asks_for_codes("other"));
  EXPECT_TRUE(rules.asks_for_codes("a"));
  EXPECT_FALSE(rules.asks_for_codes("b"));
  EXPECT_TRUE(rules.asks_for_codes("c"));
}

TEST(MlxRules, TheModeMayBeMissing) {
  EXPECT_EQ(rules_of(R"({"group_size": 64, "bits": 4})").codes_of("a"), (MlxCodes{4, 64}));
}

void expect_refused(const char* json, const std::string& message) {
  const auto read = MlxRules::read(nlohmann::ordered_json::parse(json), "config.json");
  ASSERT_FALSE(read.ok()) << json;
  EXPECT_EQ(read.error().kind, ErrorKind::kRefused);
  EXPECT_EQ(read.error().message, "config.json" + message);
}

TEST(MlxRules, RefusesWhatMlxDoesNotHave) {
  expect_refused("[]", ": found array, expected an object");
  expect_refused(R"({"bits": 4})", ".group_size: found nothing, expected 32, 64 or 128");
  expect_refused(R"({"group_size": 16, "bits": 4})", ".group_size: found 16, expected 32, 64 or 128");
  expect_refused(R"({"group_size": 32.0, "bits": 4})", ".group_size: found 32.0, expected 32, 64 or 128");
  expect_refused(R"({"group_size": 18446744073709551615, "bits": 4})",
                 ".group_size: found 18446744073709551615, expected 32, 64 or 128");
  expect_refused(R"({"group_size": 32})", ".bits: found nothing, expected 2, 3, 4, 5, 6 or 8");
  expect_refused(R"({"group_size": 32, "bits": 7})", ".bits: found 7, expected 2, 3, 4, 5, 6 or 8");
  expect_refused(R"({"group_size": 32, "bits": "4"})", ".bits: found \"4\", expected 2, 3, 4, 5, 6 or 8");
  expect_refused(
      R"({"group_size": 32, "bits": 4, "mode": "mxfp4"})",
      ".mode: found \"mxfp4\", expected \"affine\"; take the model's F32, F16 or BF16 weights, or a GGUF file");
}

TEST(MlxRules, RefusesWhatAModuleCannotSay) {
  expect_refused(R"({"group_size": 32, "bits": 4, "a": 4})",
                 ".a: found 4, expected what is said of a module: true, false or an object");
  expect_refused(R"({"group_size": 32, "bits": 4, "a": {"bits": 8}})",
                 ".a.group_size: found nothing, expected 32, 64 or 128");
  expect_refused(
      R"({"group_size": 32, "bits": 4, "a": {"group_size": 32, "bits": 8, "mode": "mxfp8"}})",
      ".a.mode: found \"mxfp8\", expected \"affine\"; take the model's F32, F16 or BF16 weights, or a GGUF file");
  expect_refused(R"({"group_size": 32, "bits": 4, "a": {"group_size": 32, "bits": 8, "quantize_input": true}})",
                 ".a.quantize_input: is no setting of affine codes");
}

}  // namespace
}  // namespace carat
