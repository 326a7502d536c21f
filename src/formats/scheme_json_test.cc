#include "formats/scheme_json.h"

#include <gtest/gtest.h>

#include "base/file_write.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr const char* kMixed = R"({"name": "mixed", "rules": [
    {"match": "*mlp.*_proj.weight", "lattice": "Q4_0"}, {"match": "*_proj.weight", "lattice": "BF16"}]})";

void expect_refused(const std::string& text, const std::string& message) {
  const auto scheme = scheme_from_json(text, "my.json");
  ASSERT_FALSE(scheme.ok()) << text;
  EXPECT_NE(scheme.error().message.find(message), std::string::npos) << scheme.error().message;
}

TEST(SchemeJson, FirstRuleThatMatchesDecides) {
  const Scheme scheme = scheme_from_json(kMixed, "my.json").value();
  EXPECT_EQ(scheme.name, "mixed");
  EXPECT_EQ(scheme.lattice_of("model.layers.0.mlp.up_proj.weight"), DType::kQ4_0);
  EXPECT_EQ(scheme.lattice_of("model.layers.0.self_attn.q_proj.weight"), DType::kBF16);
  EXPECT_EQ(scheme.lattice_of("model.norm.weight"), DType::kF32);
}

TEST(SchemeJson, CodesHaveGroupsAndStaticRanges) {
  const Scheme scheme = scheme_from_json(R"({"name": "small", "static_cache": true, "rules": [
      {"match": "*embed_tokens.weight", "lattice": "I2", "group": 32},
      {"match": "*q_proj.weight", "lattice": "I8", "static_range": true},
      {"match": "*_proj.weight", "lattice": "I4", "static_range": false, "group": 0}]})",
                                         "my.json")
                            .value();
  EXPECT_TRUE(scheme.static_cache);
  const SchemeRule* table = scheme.rule_for("model.embed_tokens.weight");
  EXPECT_EQ(table->lattice, DType::kI2);
  EXPECT_EQ(table->group, 32);
  EXPECT_FALSE(table->static_range);
  const SchemeRule* queries = scheme.rule_for("model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(queries->lattice, DType::kI8);
  EXPECT_EQ(queries->group, 0);
  EXPECT_TRUE(queries->static_range);
  EXPECT_EQ(scheme.lattice_of("model.layers.0.self_attn.k_proj.weight"), DType::kI4);
  EXPECT_FALSE(scheme_from_json(kMixed, "my.json").value().static_cache);
}

TEST(SchemeJson, LoadsNamesAndFiles) {
  EXPECT_EQ(load_scheme("q4_0").value().name, "q4_0");
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder / "my.json", kMixed).ok());
  EXPECT_EQ(load_scheme((folder / "my.json").string()).value().rules.size(), 2u);
  const auto missing = load_scheme("q5");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kUsage);
  EXPECT_NE(missing.error().message.find("q4_0"), std::string::npos) << missing.error().message;
}

TEST(SchemeJson, Refuses) {
  expect_refused("[]", "expected a JSON object");
  expect_refused("{", "no valid JSON");
  expect_refused(R"({"rules": []})", "name: is missing");
  expect_refused(R"({"name": "", "rules": []})", "expected a name");
  expect_refused(R"({"name": "\u001b[2J", "rules": []})", "printable characters of ASCII, found \"\\x1b[2J\"");
  expect_refused(R"({"name": "q4_0", "rules": []})", "built-in");
  expect_refused(R"({"name": "x"})", "rules: is missing");
  expect_refused(R"({"name": "x", "rules": {}})", "expected an array");
  expect_refused(R"({"name": "x", "rules": [1]})", "rules[0]");
  expect_refused(R"({"name": "x", "rules": [], "extra": 1})", "extra: is unknown");
  expect_refused(R"({"name": "x", "rules": [{"match": "*"}]})", "rules[0].lattice: is missing");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "Q9"}]})", "found \"Q9\"");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "Q6_K"}]})",
                 "can round to (F32, F16, BF16, Q4_0, Q8_0, and the codes I8, I4, I2)");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "S4"}]})", "found \"S4\"");
  expect_refused(R"({"name": "mobile", "rules": []})", "built-in");
  expect_refused(R"({"name": "x", "static_cache": 1, "rules": []})", "static_cache");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "I4", "group": -1}]})", "found -1");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "I4", "group": 1.5}]})", "rules[0].group");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "I4", "static_range": "yes"}]})",
                 "rules[0].static_range");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "Q4_0", "group": 32}]})",
                 "rules[0].group: needs a lattice of integer codes");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "lattice": "F32", "static_range": true}]})",
                 "rules[0].static_range: needs a lattice of integer codes");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "latice": "F32", "lattice": "F32"}]})", "latice");
}

}  // namespace
}  // namespace carat
