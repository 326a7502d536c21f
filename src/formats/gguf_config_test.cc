#include <gtest/gtest.h>

#include "formats/gguf_gemma4.h"
#include "formats/names.h"
#include "tests/support/same_config.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr const char* kPattern = "gemma4.attention.sliding_window_pattern";

const TinyShape kExperts = {.shared = 0, .per_layer_width = 0, .value_is_key = true, .full_kv_heads = 1, .experts = 8};

/// The metadata of a model, of which single entries can be taken out or exchanged, and the names of its tensors.
class Metadata {
 public:
  explicit Metadata(const TinyShape& shape = {}) : config(TinyModel(shape).config), factors_(rope_factors(config)) {
    GgufHeader header;
    header.add_string_array("tokenizer.ggml.tokens",
                            std::vector<std::string>(static_cast<size_t>(config.vocabulary), "a"));
    header.add_string("general.architecture", "gemma4");
    CARAT_CHECK(add_config(config, header).ok(), "a config that GGUF can hold");
    bytes_ = header.bytes();
    entries_ = parse_gguf(as_bytes(bytes_), "model.gguf").value().entries;
    for (const TensorSpec& spec : expected_tensors(config)) add_tensor(gguf_name_from_hf(spec.name).value());
  }

  Metadata& without(std::string_view key) {
    std::erase_if(entries_, [&](const GgufEntry& entry) { return entry.key == key; });
    return *this;
  }
  Metadata& with(std::string_view key, int64_t value) { return put(key, {GgufType::kI64, value}); }
  Metadata& with(std::string_view key, std::string_view value) { return put(key, {GgufType::kString, value}); }
  /// `value` must outlive this.
  Metadata& with(std::string_view key, const std::vector<int32_t>& value) {
    return put(key, {GgufType::kArray, GgufArray(GgufType::kI32, value.size(), std::as_bytes(std::span(value)))});
  }
  Metadata& put(std::string_view key, GgufValue value) {
    without(key);
    entries_.push_back({key, std::move(value)});
    return *this;
  }
  Metadata& without_tensor(std::string_view name) {
    std::erase_if(tensors_, [&](const NamedTensor& tensor) { return tensor.name == name; });
    return *this;
  }

  Result<ModelConfig> read() const {
    std::vector<NamedTensor> tensors = tensors_;
    tensors.push_back(
        {kRopeFactorsName, {DType::kF32, {static_cast<int64_t>(factors_.size())}, std::as_bytes(std::span(factors_))}});
    return config_from_gguf(GgufFields(entries_, "model.gguf"), tensors);
  }

  ModelConfig config;

 private:
  void add_tensor(const std::string& name) { tensors_.push_back({name, {}}); }

  std::vector<float> factors_;
  std::string bytes_;
  std::vector<GgufEntry> entries_;
  std::vector<NamedTensor> tensors_;
};

void expect_refused(const Metadata& metadata, const std::string& message) {
  const auto config = metadata.read();
  ASSERT_FALSE(config.ok()) << message;
  EXPECT_EQ(config.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(config.error().message.starts_with("model.gguf: ")) << config.error().message;
  EXPECT_NE(config.error().message.find(message), std::string::npos) << config.error().message;
}

TEST(GgufConfig, ReadsBackWhatItWrote) {
  for (const TinyShape& shape : {TinyShape{}, kExperts, TinyShape{.pattern = "FFSF", .shared = 1, .full_kv_heads = 4},
                                 TinyShape{.pattern = "SFSF", .value_is_key = true}}) {
    const Metadata metadata(shape);
    expect_same_config(metadata.read().value(), metadata.config);
  }
}

TEST(GgufConfig, OneNumberStandsForAllLayers) {
  Metadata metadata;
  metadata.with("gemma4.feed_forward_length", 64).with("gemma4.attention.head_count_kv", 1);
  const ModelConfig config = metadata.read().value();
  for (const LayerConfig& layer : config.layers) {
    EXPECT_EQ(layer.ffn_width, 64);
    EXPECT_EQ(layer.kv_heads, 1);
  }
}

TEST(GgufConfig, ThePatternMayBeAPeriod) {
  Metadata metadata;
  expect_same_config(metadata.with(kPattern, 3).read().value(), metadata.config);
  expect_refused(metadata.with(kPattern, 0), "expected a boolean for each layer, or how many layers");
  expect_refused(metadata.with(kPattern, 1), "2 or more; found 1");
  expect_refused(metadata.with(kPattern, "3"), "expected an integer");
  expect_refused(metadata.without(kPattern), "is missing");
}

TEST(GgufConfig, KeysAreValuesWhereAFullLayerHasNoValues) {
  Metadata metadata({.pattern = "SFSFF", .shared = 1});
  expect_refused(metadata.without_tensor("blk.1.attn_v.weight"),
                 "blk.1.attn_v.weight: is missing, but other layers of full attention have theirs");
  const ModelConfig config = metadata.without_tensor("blk.3.attn_v.weight").read().value();
  for (const LayerConfig& layer : config.layers) {
    EXPECT_EQ(layer.value_is_key, layer.attention == AttentionType::kFull);
  }
}

TEST(GgufConfig, RefusesExpertsThatMakeNoSense) {
  expect_refused(Metadata(kExperts).without("gemma4.expert_used_count"), "expert_used_count: is missing");
  expect_refused(Metadata(kExperts).without("gemma4.expert_feed_forward_length"), "length: is missing");
  expect_refused(Metadata(kExperts).with("gemma4.expert_used_count", 9), "used by a token: expected 1 to 8, found 9");
  expect_refused(Metadata(kExperts).with("gemma4.expert_count", -1), "experts: expected 1 to 4096, found -1");
  expect_refused(Metadata(kExperts).with("gemma4.expert_feed_forward_length", int64_t{1} << 40), "expert width");
}

TEST(GgufConfig, SaysWhatItFoundInsteadOfANumber) {
  constexpr const char* kKey = "gemma4.embedding_length";
  const std::vector<int32_t> widths(6, 64);
  expect_refused(Metadata().with(kKey, "64"), "embedding_length: expected an integer, found string \"64\"");
  expect_refused(Metadata().with(kKey, widths), "embedding_length: expected an integer, found array of i32");
  expect_refused(Metadata().put(kKey, {GgufType::kF32, 64.0}), "embedding_length: expected an integer, found f32");
  expect_refused(Metadata().put(kKey, {GgufType::kBool, int64_t{1}}), "expected an integer, found bool");
  expect_refused(Metadata().put(kKey, {GgufType::kU64, int64_t{-1}}), "embedding_length: is too large");
  expect_refused(Metadata().with("tokenizer.ggml.tokens", widths), "an array of strings, found array of i32");
}

TEST(GgufConfig, RefusesOtherPositions) {
  expect_refused(Metadata().with("gemma4.rope.scaling.type", "yarn"), "scaling.type: scaled positions");
  expect_refused(Metadata().put("gemma4.rope.scaling.factor", {GgufType::kF32, 8.0}), "factor: scaled positions");
  expect_refused(Metadata().put("gemma4.rope.scale_linear", {GgufType::kF32, 8.0}), "scale_linear: scaled positions");
  EXPECT_TRUE(Metadata().put("gemma4.rope.scaling.factor", {GgufType::kF32, 1.0}).read().ok());
}

TEST(GgufConfig, RefusesHeadWidthsThatTheFileCannotMean) {
  expect_refused(Metadata().with("gemma4.attention.value_length_swa", 16),
                 "value_length_swa: expected 32, as gemma4.attention.key_length_swa says, found 16");
  const std::vector<int32_t> widths = {32, 128, 32, 64};
  Metadata metadata({.pattern = "SFSF", .shared = 0});
  metadata.with("gemma4.attention.key_length", widths);
  metadata.without("gemma4.attention.value_length").without("gemma4.rope.dimension_count");
  expect_refused(metadata, "rope_freqs.weight: is one list for all full attention layers");
}

TEST(GgufConfig, NamesOtherArchitecturesAndSaysWhatIsSupported) {
  constexpr const char* kKey = "general.architecture";
  expect_refused(Metadata().with(kKey, "llama"),
                 "found \"llama\"; supported are the Gemma 4 text models (E2B, E4B, 12B, 26B-A4B, 31B)");
  expect_refused(Metadata().with(kKey, "clip"), "the image and audio part (mmproj) of a model");
  expect_refused(Metadata().with(kKey, "gemma4_assistant"), "a draft model, which cannot run alone");
  expect_refused(Metadata().without(kKey), "general.architecture: is missing");
}

}  // namespace
}  // namespace carat
