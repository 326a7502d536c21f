#include "lattice/scheme.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace carat {
namespace {

TEST(Pattern, StarStandsForAnything) {
  EXPECT_TRUE(matches_pattern("", ""));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("*", "anything"));
  EXPECT_TRUE(matches_pattern("a*", "a"));
  EXPECT_TRUE(matches_pattern("*b", "aab"));
  EXPECT_TRUE(matches_pattern("a*b*c", "axxbyybzzc"));
  EXPECT_TRUE(matches_pattern("**a**", "bab"));
  EXPECT_TRUE(matches_pattern("*ab", "aaab"));
  EXPECT_TRUE(matches_pattern("*_proj.weight", "q_proj_proj.weight"));
}

TEST(Pattern, TheRestIsLiteral) {
  EXPECT_FALSE(matches_pattern("", "a"));
  EXPECT_FALSE(matches_pattern("a", ""));
  EXPECT_FALSE(matches_pattern("a", "ab"));
  EXPECT_FALSE(matches_pattern("a*", "ba"));
  EXPECT_FALSE(matches_pattern("*b", "abc"));
  EXPECT_FALSE(matches_pattern("a*b*c", "acb"));
  EXPECT_FALSE(matches_pattern("a.c", "abc"));
  EXPECT_FALSE(matches_pattern("A", "a"));
}

TEST(Pattern, ManyStarsEndInReasonableTime) {
  std::string pattern, text(2000, 'a');
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(matches_pattern(pattern + "b", text));
}

TEST(Scheme, FirstMatchingRuleDecides) {
  const Scheme scheme = {"test", {{"*.first.weight", DType::kQ4_0}, {"*.weight", DType::kBF16}}};
  EXPECT_EQ(scheme.lattice_of("a.first.weight"), DType::kQ4_0);
  EXPECT_EQ(scheme.lattice_of("a.second.weight"), DType::kBF16);
  EXPECT_EQ(scheme.lattice_of("a.bias"), DType::kF32);
}

TEST(Scheme, BuiltInOnesAreFoundByName) {
  EXPECT_EQ(built_in_scheme_names(), "f32, f16, bf16, q8_0, q4_0");
  for (const char* name : {"f32", "f16", "bf16", "q8_0", "q4_0"}) {
    ASSERT_NE(built_in_scheme(name), nullptr);
    EXPECT_EQ(built_in_scheme(name)->name, name);
  }
  EXPECT_EQ(built_in_scheme("q4"), nullptr);
  EXPECT_EQ(built_in_scheme(""), nullptr);
}

struct TensorCase {
  const char* name;
  enum { kMatrix, kModelProjection, kVector } kind;
};

DType expected_lattice(const TensorCase& tensor, DType of_matrices) {
  if (tensor.kind == TensorCase::kVector) return DType::kF32;
  const bool in_blocks = of_matrices == DType::kQ8_0 || of_matrices == DType::kQ4_0;
  return tensor.kind == TensorCase::kModelProjection && in_blocks ? DType::kBF16 : of_matrices;
}

TEST(Scheme, BuiltInOnesKnowEveryTensorOfTheDecoder) {
  const TensorCase cases[] = {
      {"model.embed_tokens.weight", TensorCase::kMatrix},
      {"model.embed_tokens_per_layer.weight", TensorCase::kMatrix},
      {"model.per_layer_model_projection.weight", TensorCase::kModelProjection},
      {"model.per_layer_projection_norm.weight", TensorCase::kVector},
      {"model.norm.weight", TensorCase::kVector},
      {"lm_head.weight", TensorCase::kMatrix},
      {"model.layers.3.self_attn.q_proj.weight", TensorCase::kMatrix},
      {"model.layers.3.self_attn.o_proj.weight", TensorCase::kMatrix},
      {"model.layers.3.self_attn.q_norm.weight", TensorCase::kVector},
      {"model.layers.3.mlp.gate_proj.weight", TensorCase::kMatrix},
      {"model.layers.3.mlp.down_proj.weight", TensorCase::kMatrix},
      {"model.layers.3.experts.gate_up_proj", TensorCase::kMatrix},
      {"model.layers.3.experts.gate_proj", TensorCase::kMatrix},
      {"model.layers.3.experts.up_proj", TensorCase::kMatrix},
      {"model.layers.3.experts.down_proj", TensorCase::kMatrix},
      {"model.layers.3.router.proj.weight", TensorCase::kVector},
      {"model.layers.3.router.scale", TensorCase::kVector},
      {"model.layers.3.router.per_expert_scale", TensorCase::kVector},
      {"model.layers.3.input_layernorm.weight", TensorCase::kVector},
      {"model.layers.3.post_feedforward_layernorm.weight", TensorCase::kVector},
      {"model.layers.3.post_feedforward_layernorm_1.weight", TensorCase::kVector},
      {"model.layers.3.post_per_layer_input_norm.weight", TensorCase::kVector},
      {"model.layers.3.per_layer_input_gate.weight", TensorCase::kMatrix},
      {"model.layers.3.per_layer_projection.weight", TensorCase::kMatrix},
      {"model.layers.3.layer_scalar", TensorCase::kVector},
  };
  const std::pair<const char*, DType> schemes[] = {
      {"f16", DType::kF16}, {"bf16", DType::kBF16}, {"q8_0", DType::kQ8_0}, {"q4_0", DType::kQ4_0}};
  for (const TensorCase& tensor : cases) {
    EXPECT_EQ(built_in_scheme("f32")->lattice_of(tensor.name), DType::kF32) << tensor.name;
    for (const auto& [name, of_matrices] : schemes) {
      EXPECT_EQ(built_in_scheme(name)->lattice_of(tensor.name), expected_lattice(tensor, of_matrices))
          << name << ", " << tensor.name;
    }
  }
}

}  // namespace
}  // namespace carat
