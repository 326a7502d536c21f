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
                 "can round to (F32, F16, BF16, Q4_0, Q8_0)");
  expect_refused(R"({"name": "x", "rules": [{"match": "*", "latice": "F32", "lattice": "F32"}]})", "latice");
}

}  // namespace
}  // namespace carat
