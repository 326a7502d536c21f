#include "model/preset.h"

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "formats/gguf_gemma4.h"
#include "formats/names.h"
#include "tests/support/same_config.h"

namespace carat {
namespace {

constexpr const char* kPresets[] = {"opal", "e2b", "e4b", "12b", "26b-a4b", "31b"};

/// The tensors of a file without their values; those of the rotary factors lie in `factors`.
std::vector<NamedTensor> gguf_tensors(const ModelConfig& config, const std::vector<float>& factors) {
  std::vector<NamedTensor> tensors;
  for (const TensorSpec& spec : expected_tensors(config)) {
    tensors.push_back({gguf_name_from_hf(spec.name).value(), {spec.dtype, spec.shape, {}}});
  }
  tensors.push_back(
      {kRopeFactorsName, {DType::kF32, {static_cast<int64_t>(factors.size())}, std::as_bytes(std::span(factors))}});
  return tensors;
}

std::string gguf_header(const ModelConfig& config) {
  GgufHeader header;
  header.add_string("general.architecture", "gemma4");
  header.add_string_array("tokenizer.ggml.tokens",
                          std::vector<std::string>(static_cast<size_t>(config.vocabulary), "a"));
  EXPECT_TRUE(add_config(config, header).ok());
  return header.bytes();
}

TEST(Preset, IsTheSameAfterGguf) {
  for (const char* name : kPresets) {
    const ModelConfig config = preset_config(name).value();
    const std::string bytes = gguf_header(config);
    const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
    const std::vector<float> factors = rope_factors(config);
    const GgufFields fields(content.entries, "model.gguf");
    SCOPED_TRACE(name);
    expect_same_config(config_from_gguf(fields, gguf_tensors(config, factors)).value(), config);
  }
}

TEST(Preset, IsTheSameAfterConfigJson) {
  for (const char* name : kPresets) {
    const ModelConfig config = preset_config(name).value();
    const std::string text = config_to_json(config, "bfloat16").value();
    SCOPED_TRACE(name);
    expect_same_config(config_from_json(text, "config.json").value(), config);
  }
}

TEST(Preset, IsValid) {
  for (const char* name : kPresets) EXPECT_TRUE(validate(preset_config(name).value()).ok()) << name;
}

/// As many as the GGUF files of the releases, which hold the rotary factors, and the keys, values and key norms of
/// sharing layers, too.
TEST(Preset, HasAsManyTensorsAsTheReleases) {
  const std::pair<const char*, size_t> counts[] = {
      {"e2b", 601}, {"e4b", 720}, {"12b", 667}, {"26b-a4b", 658}, {"31b", 833}};
  for (const auto& [name, count] : counts) {
    const ModelConfig config = preset_config(name).value();
    const auto unused = 3 * static_cast<size_t>(config.shared_kv_layers());
    EXPECT_EQ(expected_tensors(config).size() + 1 + unused, count) << name;
  }
}

TEST(Preset, LayersLieWhereTheyShould) {
  const ModelConfig e2b = preset_config("e2b").value();
  EXPECT_EQ(e2b.layers[14].attention, AttentionType::kFull);
  EXPECT_EQ(e2b.layers[14].ffn_width, 6144);
  EXPECT_EQ(e2b.layers[15].ffn_width, 12288);
  EXPECT_EQ(e2b.layers[34].kv_layer, 14);
  EXPECT_EQ(e2b.layers[33].kv_layer, 13);
  const ModelConfig e4b = preset_config("e4b").value();
  EXPECT_EQ(e4b.layers[41].kv_layer, 23);
  EXPECT_EQ(e4b.layers[40].kv_layer, 22);
  EXPECT_EQ(e4b.layers[41].ffn_width, 10240);
  const ModelConfig a4b = preset_config("26b-a4b").value();
  for (size_t i = 0; i < a4b.layers.size(); ++i) EXPECT_EQ(a4b.layers[i].value_is_key, i % 6 == 5) << i;
}

TEST(Preset, AnUnknownNameIsRefusedWithTheKnownOnes) {
  const auto config = preset_config("ruby");
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("opal, e2b, e4b, 12b, 26b-a4b, 31b"), std::string::npos);
}

}  // namespace
}  // namespace carat
