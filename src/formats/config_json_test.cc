#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/same_config.h"
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

TEST(ConfigJson, ReadsBackWhatItWrote) {
  for (const TinyShape& shape :
       {TinyShape{}, TinyShape{.pattern = "SF", .shared = 0, .per_layer_width = 0},
        TinyShape{.pattern = "FSFFSF", .shared = 3, .double_wide = false}, TinyShape{.pattern = "F", .shared = 0},
        TinyShape{.shared = 0, .per_layer_width = 0, .value_is_key = true, .full_kv_heads = 1, .experts = 8},
        TinyShape{.value_is_key = true, .full_kv_heads = 4}, TinyShape{.full_kv_heads = 4}}) {
    TinyModel model(shape);
    model.config.scheme = "q4_0";
    model.config.rms_epsilon = 1e-5f;
    model.config.softcap = shape.shared == 0 ? 0.0f : 30.0f;
    const std::string text = config_to_json(model.config, "bfloat16").value();
    const ModelConfig again = config_from_json(text, "config.json").value();
    expect_same_config(again, model.config);
    EXPECT_EQ(config_to_json(again, "bfloat16").value(), text);
  }
}

TEST(ConfigJson, ReadsACompositeFile) {
  const json text = json::parse(written());
  const json composite = {{"model_type", "gemma4"}, {"text_config", text}, {"tie_word_embeddings", true}};
  expect_same_config(read(composite).value(), TinyModel().config);
}

TEST(ConfigJson, ReadsNewerPerLayerKeys) {
  json document = json::parse(written());
  document.erase("global_head_dim");
  document["per_layer_config"] = {{"2", {{"head_dim", 64}}}, {"5", {{"head_dim", 64}}}};
  expect_same_config(read(document).value(), TinyModel().config);
  document["per_layer_config"] = {{"02", {{"head_dim", 64}}}, {"05", {{"head_dim", 64}}}};
  expect_same_config(read(document).value(), TinyModel().config);
  for (const char* key : {"", "00a", "0 2", "06"}) {
    document["per_layer_config"] = {{key, {{"head_dim", 64}}}};
    expect_refused(document, "is neither a layer's number nor an attention type; there are 6 layers");
  }
  document["per_layer_config"] = {{"full_attention", {{"head_dim", 64}, {"num_key_value_heads", 2}}}};
  expect_same_config(read(document).value(), TinyModel().config);
  document["per_layer_config"] = {{"9", {{"head_dim", 64}}}};
  expect_refused(document, "per_layer_config.9: is neither a layer's number nor an attention type; there are 6 layers");
  document["per_layer_config"] = {{"2", {{"hidden_size", 64}}}};
  expect_refused(document, "hidden_size");
}

TEST(ConfigJson, FullLayersHaveTheirOwnKeyValueHeadsWhereKeysAreValues) {
  json document = json::parse(written());
  document["num_global_key_value_heads"] = 1;
  for (const bool value_is_key : {false, true}) {
    document["attention_k_eq_v"] = value_is_key;
    const ModelConfig config = read(document).value();
    EXPECT_EQ(config.layers[0].kv_heads, 2);
    EXPECT_FALSE(config.layers[0].value_is_key);
    EXPECT_EQ(config.layers[2].kv_heads, value_is_key ? 1 : 2);
    EXPECT_EQ(config.layers[2].value_is_key, value_is_key);
    EXPECT_EQ(config.layers[5].value_is_key, value_is_key);
  }
  document["num_global_key_value_heads"] = nullptr;
  EXPECT_EQ(read(document).value().layers[2].kv_heads, 2);
  document["per_layer_config"] = {{"2", {{"head_dim", 64}, {"num_key_value_heads", 4}}},
                                  {"5", {{"head_dim", 64}, {"num_key_value_heads", 4}}}};
  document["num_global_key_value_heads"] = 1;
  EXPECT_EQ(read(document).value().layers[2].kv_heads, 4);
}

TEST(ConfigJson, ReadsExperts) {
  json document = json::parse(written());
  document["num_experts"] = 8;
  document["top_k_experts"] = 2;
  document["moe_intermediate_size"] = 48;
  EXPECT_EQ(read(document).value().experts, 0);
  document["enable_moe_block"] = true;
  const ModelConfig config = read(document).value();
  EXPECT_EQ(config.experts, 8);
  EXPECT_EQ(config.experts_used, 2);
  EXPECT_EQ(config.expert_width, 48);
  for (const char* member : {"num_experts", "top_k_experts", "moe_intermediate_size"}) {
    json fewer = document;
    fewer.erase(member);
    expect_refused(fewer, std::string(member) + ": is missing");
  }
  document["top_k_experts"] = 9;
  expect_refused(document, "experts used by a token: expected 1 to 8, found 9");
  document["num_experts"] = 0;
  expect_refused(document, "num_experts: expected 1 or more");
  document["num_experts"] = int64_t{1} << 40;
  expect_refused(document, "experts: expected 1 to 4096");
}

TEST(ConfigJson, ReadsTheUnifiedModel) {
  json document = json::parse(written({.shared = 0, .per_layer_width = 0}));
  document["model_type"] = "gemma4_unified_text";
  document["architectures"] = {"Gemma4UnifiedForCausalLM"};
  for (const char* member : {"sliding_window", "max_position_embeddings", "hidden_size_per_layer_input"}) {
    document.erase(member);
  }
  document["use_bidirectional_attention"] = "vision";
  const json composite = {{"model_type", "gemma4_unified"},
                          {"architectures", {"Gemma4UnifiedForConditionalGeneration"}},
                          {"text_config", document},
                          {"vision_config", json::object()}};
  for (const ModelConfig& config : {read(document).value(), read(composite).value()}) {
    EXPECT_EQ(config.sliding_window, 1024);
    EXPECT_EQ(config.context, 262144);
    EXPECT_EQ(config.per_layer_width, 0);
  }
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
  expect_refused("model_type", "gemma4_assistant", "is a draft model");
  expect_refused("model_type", "gemma3_text", "supported are the Gemma 4 text models (E2B, E4B, 12B, 26B-A4B, 31B)");
  expect_refused("architectures", {"Gemma4ForSequenceClassification"}, "Gemma4ForSequenceClassification");
  expect_refused("architectures", "Gemma4ForCausalLM", "architectures: expected an array");
  expect_refused("architectures", {1}, "architectures: expected the names of classes");
  expect_refused("tie_word_embeddings", false, "tie_word_embeddings");
  expect_refused("attention_bias", true, "attention_bias");
  expect_refused("use_bidirectional_attention", "all", "use_bidirectional_attention");
  expect_refused("hidden_activation", "silu", "hidden_activation");
}

// Who reads the quantized tensors sees to it that the head is the embedding.
TEST(ConfigJson, AHeadApartIsAllowedInQuantizedCheckpoints) {
  json text = json::parse(written());
  text["tie_word_embeddings"] = false;
  const json quantization = {{"quant_method", "gemma"}};
  json composite = {{"model_type", "gemma4"}, {"text_config", text}, {"tie_word_embeddings", false}};
  expect_refused(composite, "tie_word_embeddings");
  composite["quantization_config"] = quantization;
  EXPECT_TRUE(config_from_json(composite.dump(), "config.json").ok());
  text["quantization_config"] = quantization;
  EXPECT_TRUE(config_from_json(text.dump(), "config.json").ok());
}

TEST(ConfigJson, RefusesValuesThatMakeNoSense) {
  expect_refused("hidden_size", nullptr, "hidden_size: is missing");
  expect_refused("hidden_size", "64", "hidden_size: expected an integer, found string \"64\"");
  expect_refused("hidden_size", 64.5, "hidden_size: expected an integer, found number 64.5");
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
  expect_refused("rms_norm_eps", 0, "RMS epsilon: expected more than 0 and less than 1, found 0");
  expect_refused("rms_norm_eps", 1e300, "RMS epsilon");
  expect_refused("layer_types", json::array({1, 2, 3, 4, 5, 6}), "full_attention, found number 1");
  expect_refused("rope_parameters", json::array(), "rope_parameters: expected an object");
  expect_refused("use_double_wide_mlp", 1, "use_double_wide_mlp: expected true or false");
}

TEST(ConfigJson, RefusesASchemeThatCannotBePrinted) {
  expect_refused("carat_scheme", "\x1b[2J", "expected at most 80 printable characters of ASCII, found \"\\x1b[2J\"");
  expect_refused("carat_scheme", std::string(81, 'x'), "expected at most 80 printable");
}

TEST(ConfigJson, RefusesOtherPositions) {
  expect_refused("rope_scaling", {{"rope_type", "linear"}, {"factor", 8}}, "rope_scaling: scaled positions");
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
  config = TinyModel().config;
  config.layers[0].kv_heads = 4;
  EXPECT_FALSE(config_to_json(config, "float32").ok());
  config = TinyModel({.pattern = "FS", .shared = 0}).config;
  EXPECT_FALSE(config_to_json(config, "float32").ok());
}

}  // namespace
}  // namespace carat
