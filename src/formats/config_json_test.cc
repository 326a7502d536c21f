#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/tiny_model.h"

namespace carat {
namespace {

using nlohmann::json;

std::string written(const TinyShape& shape = {}) { return config_to_json(TinyModel(shape).config, "float32").value(); }

Result<ModelConfig> read(const json& document) { return config_from_json(document.dump(), "config.json"); }

void expect_refused(const json& document, const std::string& message) {
  const auto config = read(document);
  ASSERT_FALSE(config.ok()) << message;
  EXPECT_EQ(config.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(config.error().message.starts_with("config.json: ")) << config.error().message;
  EXPECT_NE(config.error().message.find(message), std::string::npos) << config.error().message;
}

/// The file of a tiny model with one member changed; null removes it.
void expect_refused(const std::string& member, const json& value, const std::string& message) {
  json document = json::parse(written());
  if (value.is_null()) {
    document.erase(member);
  } else {
    document[member] = value;
  }
  expect_refused(document, message);
}

void expect_same(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.vocabulary, b.vocabulary);
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(a.heads, b.heads);
  EXPECT_EQ(a.per_layer_width, b.per_layer_width);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.context, b.context);
  EXPECT_EQ(a.rms_epsilon, b.rms_epsilon);
  EXPECT_EQ(a.softcap, b.softcap);
  EXPECT_EQ(a.rope_theta_sliding, b.rope_theta_sliding);
  EXPECT_EQ(a.rope_theta_full, b.rope_theta_full);
  EXPECT_EQ(a.full_rotary_fraction, b.full_rotary_fraction);
  EXPECT_EQ(a.scheme, b.scheme);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].attention, b.layers[i].attention);
    EXPECT_EQ(a.layers[i].kv_heads, b.layers[i].kv_heads);
    EXPECT_EQ(a.layers[i].head_width, b.layers[i].head_width);
    EXPECT_EQ(a.layers[i].ffn_width, b.layers[i].ffn_width);
    EXPECT_EQ(a.layers[i].kv_layer, b.layers[i].kv_layer);
  }
}

TEST(ConfigJson, ReadsBackWhatItWrote) {
  for (const TinyShape& shape :
       {TinyShape{}, TinyShape{.pattern = "SF", .shared = 0, .per_layer_width = 0},
        TinyShape{.pattern = "FSFFSF", .shared = 3, .double_wide = false}, TinyShape{.pattern = "F", .shared = 0}}) {
    TinyModel model(shape);
    model.config.scheme = "q4_0";
    model.config.rms_epsilon = 1e-5f;
    model.config.softcap = shape.shared == 0 ? 0.0f : 30.0f;
    const std::string text = config_to_json(model.config, "bfloat16").value();
    const ModelConfig again = config_from_json(text, "config.json").value();
    expect_same(again, model.config);
    EXPECT_EQ(config_to_json(again, "bfloat16").value(), text);
  }
}

TEST(ConfigJson, ReadsACompositeFile) {
  const json text = json::parse(written());
  const json composite = {{"model_type", "gemma4"}, {"text_config", text}, {"tie_word_embeddings", true}};
  expect_same(read(composite).value(), TinyModel().config);
}

TEST(ConfigJson, ReadsNewerPerLayerKeys) {
  json document = json::parse(written());
  document.erase("global_head_dim");
  document["per_layer_config"] = {{"2", {{"head_dim", 64}}}, {"5", {{"head_dim", 64}}}};
  expect_same(read(document).value(), TinyModel().config);
  document["per_layer_config"] = {{"full_attention", {{"head_dim", 64}, {"num_key_value_heads", 2}}}};
  expect_same(read(document).value(), TinyModel().config);
  document["per_layer_config"] = {{"9", {{"head_dim", 64}}}};
  expect_refused(document, "neither a layer's number nor an attention type");
  document["per_layer_config"] = {{"2", {{"hidden_size", 64}}}};
  expect_refused(document, "hidden_size");
}

TEST(ConfigJson, SharingLayersReadTheLastOwnerOfTheirType) {
  const ModelConfig config = TinyModel({.pattern = "SSFSSFSF", .shared = 4}).config;
  const int64_t expected[] = {0, 1, 2, 3, 3, 2, 3, 2};
  for (size_t i = 0; i < config.layers.size(); ++i) EXPECT_EQ(config.layers[i].kv_layer, expected[i]) << i;
}

TEST(ConfigJson, GivesTheUsualValuesToMissingMembers) {
  json document = json::parse(written({.shared = 0}));
  for (const char* member :
       {"layer_types", "rope_parameters", "sliding_window", "rms_norm_eps", "final_logit_softcapping"}) {
    document.erase(member);
  }
  const ModelConfig config = read(document).value();
  EXPECT_EQ(config.layers[4].attention, AttentionType::kSliding);
  EXPECT_EQ(config.layers[5].attention, AttentionType::kFull);
  EXPECT_EQ(config.sliding_window, 512);
  EXPECT_EQ(config.softcap, 0.0f);
  EXPECT_EQ(config.rope_theta_full, 1e6f);
}

TEST(ConfigJson, RefusesOtherModels) {
  expect_refused("model_type", "llama", "model_type: expected gemma4");
  expect_refused("model_type", nullptr, "model_type: is missing");
  expect_refused("enable_moe_block", true, "experts");
  expect_refused("attention_k_eq_v", true, "attention_k_eq_v");
  expect_refused("tie_word_embeddings", false, "tie_word_embeddings");
  expect_refused("attention_bias", true, "attention_bias");
  expect_refused("use_bidirectional_attention", "all", "use_bidirectional_attention");
  expect_refused("hidden_activation", "silu", "hidden_activation");
}

TEST(ConfigJson, RefusesValuesThatMakeNoSense) {
  expect_refused("hidden_size", nullptr, "hidden_size: is missing");
  expect_refused("hidden_size", "64", "hidden_size: expected an integer, found string");
  expect_refused("hidden_size", 64.5, "hidden_size: expected an integer");
  expect_refused("hidden_size", 0, "hidden width");
  expect_refused("hidden_size", INT64_MAX, "hidden width");
  expect_refused("hidden_size", UINT64_MAX, "too large");
  expect_refused("vocab_size", -1, "vocab_size");
  expect_refused("num_hidden_layers", int64_t{1} << 40, "num_hidden_layers");
  expect_refused("num_hidden_layers", 5, "layer_types");
  expect_refused("num_attention_heads", 3, "cannot be divided");
  expect_refused("head_dim", 33, "even number");
  expect_refused("intermediate_size", INT64_MAX, "intermediate_size");
  expect_refused("num_kv_shared_layers", 6, "num_kv_shared_layers");
  expect_refused("num_kv_shared_layers", 4, "attention type");
  expect_refused("vocab_size_per_layer_input", 7, "vocab_size_per_layer_input");
  expect_refused("rms_norm_eps", 0, "RMS epsilon");
  expect_refused("rms_norm_eps", 1e300, "RMS epsilon");
  expect_refused("layer_types", json::array({1, 2, 3, 4, 5, 6}), "layer_types");
  expect_refused("rope_parameters", json::array(), "rope_parameters: expected an object");
  expect_refused("use_double_wide_mlp", 1, "use_double_wide_mlp: expected true or false");
}

TEST(ConfigJson, RefusesOtherPositions) {
  json document = json::parse(written());
  document["rope_parameters"]["full_attention"]["rope_type"] = "yarn";
  expect_refused(document, "rope_parameters.full_attention.rope_type: expected proportional");
  document = json::parse(written());
  document["rope_parameters"]["sliding_attention"]["factor"] = 8;
  expect_refused(document, "factor");
  document = json::parse(written());
  document["rope_parameters"].erase("sliding_attention");
  expect_refused(document, "sliding_attention: is missing");
}

TEST(ConfigJson, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[]", "null", "{} {}", "\xff", "{\"a\": nul}"}) {
    EXPECT_FALSE(config_from_json(text, "config.json").ok()) << text;
  }
  EXPECT_FALSE(config_from_json(std::string(1 << 20, '['), "config.json").ok());
}

TEST(ConfigJson, RefusesToWriteWhatItCannotSay) {
  ModelConfig config = TinyModel().config;
  config.layers[0].ffn_width = 32;
  EXPECT_FALSE(config_to_json(config, "float32").ok());
  config = TinyModel().config;
  config.layers[2].head_width = 32;
  EXPECT_FALSE(config_to_json(config, "float32").ok());
  config = TinyModel({.pattern = "FS", .shared = 0}).config;
  EXPECT_FALSE(config_to_json(config, "float32").ok());
}

}  // namespace
}  // namespace carat
