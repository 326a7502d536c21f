#include "model/mobile_scheme.h"

#include <gtest/gtest.h>

#include <set>

#include "formats/checkpoint.h"
#include "model/preset.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

Scheme scheme_of_preset(const char* name) { return mobile_scheme(preset_config(name).value()).value(); }

/// Weights of a model that lie on a lattice.
int64_t weights_on(DType lattice, const char* preset) {
  const ModelConfig config = preset_config(preset).value();
  const Scheme scheme = mobile_scheme(config).value();
  int64_t weights = 0;
  for (const TensorSpec& spec : expected_tensors(config)) {
    if (scheme.lattice_of(spec.name) == lattice) weights += *element_count(spec.shape);
  }
  return weights;
}

TEST(MobileScheme, FollowsThePublishedSchedules) {
  for (const auto& [preset, table, last_ffn] :
       {std::tuple{"e2b", DType::kI4, DType::kI2}, {"e4b", DType::kI2, DType::kI4}, {"opal", DType::kI2, DType::kI2}}) {
    SCOPED_TRACE(preset);
    const ModelConfig config = preset_config(preset).value();
    const Scheme scheme = scheme_of_preset(preset);
    EXPECT_EQ(scheme.name, "mobile");
    EXPECT_TRUE(scheme.static_cache);
    EXPECT_EQ(scheme.lattice_of("model.embed_tokens.weight"), DType::kI2);
    EXPECT_EQ(scheme.lattice_of("lm_head.weight"), DType::kI2);
    EXPECT_EQ(scheme.rule_for("model.embed_tokens_per_layer.weight")->lattice, table);
    EXPECT_EQ(scheme.rule_for("model.embed_tokens_per_layer.weight")->group, config.per_layer_width);
    const std::string last = "model.layers." + std::to_string(config.layer_count() - 1);
    EXPECT_EQ(scheme.lattice_of("model.layers.0.mlp.up_proj.weight"), DType::kI4);
    EXPECT_EQ(scheme.lattice_of(last + ".mlp.down_proj.weight"), last_ffn);
    EXPECT_EQ(scheme.lattice_of(last + ".self_attn.o_proj.weight"), DType::kI4);
    EXPECT_EQ(scheme.lattice_of(last + ".per_layer_input_gate.weight"), DType::kI8);
    EXPECT_EQ(scheme.lattice_of(last + ".per_layer_projection.weight"), DType::kI8);
    for (const char* rest : {"model.per_layer_model_projection.weight", "model.norm.weight",
                             "model.per_layer_projection_norm.weight", "model.layers.0.layer_scalar",
                             "model.layers.0.self_attn.q_norm.weight", "model.layers.0.input_layernorm.weight"}) {
      EXPECT_EQ(scheme.lattice_of(rest), DType::kBF16) << rest;
    }
  }
}

TEST(MobileScheme, WideLayersOfE2bBeginAtFifteen) {
  const Scheme scheme = scheme_of_preset("e2b");
  EXPECT_EQ(scheme.lattice_of("model.layers.14.mlp.gate_proj.weight"), DType::kI4);
  for (const char* name : {"model.layers.15.mlp.gate_proj.weight", "model.layers.15.mlp.up_proj.weight",
                           "model.layers.34.mlp.down_proj.weight"}) {
    EXPECT_EQ(scheme.lattice_of(name), DType::kI2) << name;
  }
}

/// The bytes that published figures give for the parts of E2B: 383.8 MB of 2-bit codes with the head, 351.5 MB of
/// 4-bit codes without the table, 27.5 MB of 8-bit codes.
TEST(MobileScheme, TheBytesOfE2bClose) {
  const ModelConfig config = preset_config("e2b").value();
  const int64_t table = config.vocabulary * config.layer_count() * config.per_layer_width;
  EXPECT_NEAR(static_cast<double>(weights_on(DType::kI2, "e2b")) / 4, 383.8e6, 0.05e6);
  EXPECT_NEAR(static_cast<double>(weights_on(DType::kI4, "e2b") - table) / 2, 351.5e6, 0.05e6);
  EXPECT_NEAR(static_cast<double>(weights_on(DType::kI8, "e2b")), 27.5e6, 0.05e6);
}

TEST(MobileScheme, LinearLayersWithCodesHaveStaticRanges) {
  for (const char* preset : {"opal", "e2b", "e4b", "12b"}) {
    const Scheme scheme = scheme_of_preset(preset);
    for (const TensorSpec& spec : expected_tensors(preset_config(preset).value())) {
      const SchemeRule* rule = scheme.rule_for(spec.name);
      const bool linear = spec.name.ends_with("_proj.weight") || spec.name.ends_with("per_layer_input_gate.weight") ||
                          spec.name.ends_with("per_layer_projection.weight");
      EXPECT_EQ(rule->static_range, linear) << spec.name;
      EXPECT_EQ(is_code_type(rule->lattice), linear || spec.name.starts_with("model.embed_tokens")) << spec.name;
    }
  }
}

TEST(MobileScheme, RefusesExpertsByName) {
  const auto scheme = mobile_scheme(preset_config("26b-a4b").value());
  ASSERT_FALSE(scheme.ok());
  EXPECT_NE(scheme.error().message.find("\"mobile\" has no experts, and this model has 128"), std::string::npos)
      << scheme.error().message;
}

TEST(MobileScheme, RefusesSlicesThatAreNoWholeBytes) {
  ModelConfig config = preset_config("opal").value();
  config.per_layer_width = 30;
  const auto scheme = mobile_scheme(config);
  ASSERT_FALSE(scheme.ok());
  EXPECT_NE(scheme.error().message.find("multiple of 4, this model's are 30"), std::string::npos)
      << scheme.error().message;
}

TEST(MobileScheme, IsLoadedByItsName) {
  const ModelConfig config = preset_config("opal").value();
  EXPECT_EQ(load_scheme("mobile", config).value().rules.size(), mobile_scheme(config).value().rules.size());
  EXPECT_EQ(load_scheme("q4_0", config).value().name, "q4_0");
  const auto missing = load_scheme("q5", config);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("q4_0, mobile, or a JSON file"), std::string::npos) << missing.error().message;
  EXPECT_EQ(scheme_names(), "f32, f16, bf16, q8_0, q4_0, mobile");
}

}  // namespace
}  // namespace carat
