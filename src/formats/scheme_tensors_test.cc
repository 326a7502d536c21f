#include "formats/scheme_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/tiny_model.h"

namespace carat {
namespace {

ModelConfig config_of(const TinyShape& shape = {}) { return TinyModel(shape).config; }

bool has(const std::vector<TensorSpec>& specs, const std::string& name) {
  return std::ranges::any_of(specs, [&](const TensorSpec& spec) { return spec.name == name; });
}

const TensorSpec& named(const std::vector<TensorSpec>& specs, const std::string& name) {
  return *std::ranges::find(specs, name, &TensorSpec::name);
}

void expect_refused(const Scheme& scheme, const TinyShape& shape, const std::string& message) {
  const auto tensors = tensors_of_scheme(config_of(shape), scheme, Container::kSafetensors);
  ASSERT_FALSE(tensors.ok());
  EXPECT_NE(tensors.error().message.find(message), std::string::npos) << tensors.error().message;
}

const Scheme kCodes = {.name = "codes",
                       .rules = {{"*embed_tokens.weight", DType::kI2, 32},
                                 {"lm_head.weight", DType::kI2, 0, true},
                                 {"*q_proj.weight", DType::kI4, 0, true},
                                 {"*_proj.weight", DType::kI8}},
                       .static_cache = true};

TEST(SchemeTensors, CodesHaveTheirGroups) {
  const std::vector<TensorSpec> tensors = tensors_of_scheme(config_of(), kCodes, Container::kSafetensors).value();
  EXPECT_EQ(named(tensors, "model.embed_tokens.weight").dtype, DType::kI2);
  EXPECT_EQ(named(tensors, "model.embed_tokens.weight").scale_groups, 2);  // 64 columns
  EXPECT_EQ(named(tensors, "model.layers.1.self_attn.q_proj.weight").dtype, DType::kI4);
  EXPECT_EQ(named(tensors, "model.layers.1.self_attn.q_proj.weight").scale_groups, 1);
  EXPECT_EQ(named(tensors, "model.norm.weight").dtype, DType::kF32);
  EXPECT_EQ(named(tensors, "model.norm.weight").scale_groups, 0);
}

TEST(SchemeTensors, StaticQuantizersAreThoseThatTheRulesAskFor) {
  const ModelConfig config = config_of();  // six layers, the last two share keys and values
  const std::vector<TensorSpec> scales = static_scales(config, kCodes);
  EXPECT_EQ(scales.size(), 2u * 6 + 2 + 2 * 4);
  EXPECT_TRUE(has(scales, "model.layers.5.self_attn.q_proj.input_activation_scale"));
  EXPECT_TRUE(has(scales, "model.layers.5.self_attn.q_proj.output_activation_scale"));
  EXPECT_TRUE(has(scales, "lm_head.input_activation_scale"));
  EXPECT_TRUE(has(scales, "model.layers.3.self_attn.k_cache_scale"));
  EXPECT_TRUE(has(scales, "model.layers.3.self_attn.v_cache_scale"));
  EXPECT_FALSE(has(scales, "model.layers.4.self_attn.v_cache_scale"));
  EXPECT_FALSE(has(scales, "model.layers.0.self_attn.k_proj.input_activation_scale"));
  for (const TensorSpec& scale : scales) {
    EXPECT_EQ(scale.dtype, DType::kF32);
    EXPECT_TRUE(scale.shape.empty());
    EXPECT_TRUE(has(static_scales(config), scale.name)) << scale.name;
  }
  EXPECT_TRUE(static_scales(config, *built_in_scheme("q4_0")).empty());
}

TEST(SchemeTensors, LayersWhoseValuesAreTheirKeysKeepValuesAlone) {
  const TinyShape shape = {.shared = 0, .per_layer_width = 0, .value_is_key = true};
  const std::vector<TensorSpec> scales = static_scales(config_of(shape), kCodes);
  EXPECT_TRUE(has(scales, "model.layers.0.self_attn.k_cache_scale"));
  EXPECT_FALSE(has(scales, "model.layers.2.self_attn.k_cache_scale"));
  EXPECT_TRUE(has(scales, "model.layers.2.self_attn.v_cache_scale"));
}

TEST(SchemeTensors, AGgufFileHasBlocks) {
  const std::vector<TensorSpec> tensors =
      tensors_of_scheme(config_of(), *built_in_scheme("q4_0"), Container::kGguf).value();
  EXPECT_EQ(named(tensors, "model.embed_tokens.weight").dtype, DType::kQ4_0);
  EXPECT_EQ(tensors.size(), expected_tensors(config_of()).size());
}

TEST(SchemeTensors, RefusesGroupsThatDoNotFit) {
  const auto grouped = [](int64_t group) {
    return Scheme{.name = "g", .rules = {{"*embed_tokens.weight", DType::kI2, group}}};
  };
  expect_refused(grouped(24), {},
                 "model.embed_tokens.weight: rows of 64 values cannot be stored as I2 codes in groups of 24");
  expect_refused(grouped(2), {}, "a multiple of 4");
  expect_refused(grouped(128), {}, "groups of 128");
}

TEST(SchemeTensors, RefusesCodesOfExperts) {
  const Scheme scheme = {.name = "e", .rules = {{"*experts*", DType::kI4}}};
  expect_refused(scheme, {.shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 4},
                 "experts cannot be stored as I4 codes");
}

}  // namespace
}  // namespace carat
