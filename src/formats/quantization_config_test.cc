#include "formats/quantization_config.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

QuantizationConfig read(const std::string& text) { return quantization_from_json(text, "config.json").value(); }

void expect_refused(const std::string& text, const std::string& message) {
  const auto found = quantization_from_json(text, "config.json");
  ASSERT_FALSE(found.ok()) << text.substr(0, 100);
  EXPECT_EQ(found.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(found.error().message.starts_with("config.json: ")) << found.error().message;
  EXPECT_NE(found.error().message.find(message), std::string::npos) << found.error().message;
}

TEST(QuantizationConfig, KeepsTheOrderOfTheFile) {
  const QuantizationConfig config = read(R"({"hidden_size": 3, "quantization_config": {"quant_method": "gemma",
      "module_quant_configs": {"z": {"num_bits": 2}, "a": {"num_bits": 4}, "m": {"num_bits": 8}}}})");
  EXPECT_EQ(config.method, QuantMethod::kGemma);
  EXPECT_EQ(config.json["module_quant_configs"].dump(),
            R"({"z":{"num_bits":2},"a":{"num_bits":4},"m":{"num_bits":8}})");
  EXPECT_FALSE(config.head_apart);
}

TEST(QuantizationConfig, IsFoundInACompositeFile) {
  const std::string inner = R"("quantization_config": {"quant_method": "compressed-tensors", "a": [{"b": 1}]})";
  const std::string text_config = R"("text_config": {"tie_word_embeddings": false, "layers": {"x": 1}, )" + inner + "}";
  for (const std::string& text : {"{" + text_config + "}", R"({"text_config": {"a": {"b": 2}}, )" + inner + "}"}) {
    const QuantizationConfig config = read(text);
    EXPECT_EQ(config.method, QuantMethod::kCompressedTensors) << text;
    EXPECT_EQ(config.json["a"].dump(), R"([{"b":1}])") << text;
  }
  EXPECT_TRUE(read("{" + text_config + "}").head_apart);
  EXPECT_TRUE(read(R"({"tie_word_embeddings": false})").head_apart);
}

TEST(QuantizationConfig, IsNotThereInAFolderOfFloats) {
  for (const char* text : {"{}", R"({"quantization_config": null, "text_config": null})",
                           R"({"vision_config": {"quantization_config": {"quant_method": "other"}}})"}) {
    EXPECT_EQ(read(text).method, QuantMethod::kNone) << text;
    EXPECT_TRUE(read(text).json.is_null()) << text;
  }
}

TEST(QuantizationConfig, WhatMlxLmWritesGoesFirst) {
  const QuantizationConfig config = read(R"({"quantization": {"group_size": 32, "bits": 4, "z": false, "a": true},
      "quantization_config": {"group_size": 32, "bits": 4}, "tie_word_embeddings": false})");
  EXPECT_EQ(config.method, QuantMethod::kMlx);
  EXPECT_EQ(config.json.dump(), R"({"group_size":32,"bits":4,"z":false,"a":true})");
  EXPECT_TRUE(config.head_apart);
  EXPECT_EQ(read(R"({"quantization": {"mode": "affine"}})").method, QuantMethod::kMlx);
  EXPECT_EQ(read(R"({"quantization": "none"})").method, QuantMethod::kNone);
  EXPECT_EQ(read(R"({"quantization": {"method": 4}})").method, QuantMethod::kNone);
}

TEST(QuantizationConfig, RefusesOtherMethodsByName) {
  expect_refused(R"({"quantization_config": {"quant_method": "bitsandbytes"}})", "\"bitsandbytes\" are not supported");
  expect_refused(R"({"quantization_config": {}})", "\"unknown\"");
  expect_refused(R"({"quantization_config": {"quant_method": 4}})", "\"unknown\"");
  expect_refused(R"({"quantization_config": 4})", "quantization_config: expected an object, found number");
  expect_refused(R"({"text_config": []})", "text_config: expected an object, found array");
  expect_refused("[]", "no JSON object");
  expect_refused("{", "no JSON object");
}

/// An object of `count` members, each of another name.
std::string members(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":1";
  return "{" + text + "}";
}

TEST(QuantizationConfig, HostileSizesTakeNoTimeAndNoStack) {
  const std::string many = members(300'000);
  EXPECT_EQ(read(R"({"other": )" + many + R"(, "text_config": )" + many + "}").method, QuantMethod::kNone);
  expect_refused(R"({"quantization_config": )" + many + "}", "more than 4096 members");
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_EQ(read(R"({"other": )" + deep + "}").method, QuantMethod::kNone);
  expect_refused(R"({"quantization_config": {"quant_method": "gemma", "a": )" + deep + "}}", "levels deep");
}

}  // namespace
}  // namespace carat
