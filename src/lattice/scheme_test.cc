#include "lattice/scheme.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(built_in_scheme_names(), "f32, bf16, q4_0");
  for (const char* name : {"f32", "bf16", "q4_0"}) {
    ASSERT_NE(built_in_scheme(name), nullptr);
    EXPECT_EQ(built_in_scheme(name)->name, name);
  }
  EXPECT_EQ(built_in_scheme("q4"), nullptr);
  EXPECT_EQ(built_in_scheme(""), nullptr);
}

struct TensorCase {
  const char* name;
  DType bf16;
  DType q4_0;
};

TEST(Scheme, BuiltInOnesKnowEveryTensorOfTheDecoder) {
  constexpr DType kMatrix = DType::kQ4_0, kNarrow = DType::kBF16, kVector = DType::kF32;
  const TensorCase cases[] = {
      {"model.embed_tokens.weight", kNarrow, kMatrix},
      {"model.embed_tokens_per_layer.weight", kNarrow, kMatrix},
      {"model.per_layer_model_projection.weight", kNarrow, kNarrow},
      {"model.per_layer_projection_norm.weight", kVector, kVector},
      {"model.norm.weight", kVector, kVector},
      {"lm_head.weight", kNarrow, kMatrix},
      {"model.layers.3.self_attn.q_proj.weight", kNarrow, kMatrix},
      {"model.layers.3.self_attn.o_proj.weight", kNarrow, kMatrix},
      {"model.layers.3.self_attn.q_norm.weight", kVector, kVector},
      {"model.layers.3.mlp.gate_proj.weight", kNarrow, kMatrix},
      {"model.layers.3.mlp.down_proj.weight", kNarrow, kMatrix},
      {"model.layers.3.input_layernorm.weight", kVector, kVector},
      {"model.layers.3.post_feedforward_layernorm.weight", kVector, kVector},
      {"model.layers.3.post_per_layer_input_norm.weight", kVector, kVector},
      {"model.layers.3.per_layer_input_gate.weight", kNarrow, kMatrix},
      {"model.layers.3.per_layer_projection.weight", kNarrow, kMatrix},
      {"model.layers.3.layer_scalar", kVector, kVector},
  };
  for (const TensorCase& tensor : cases) {
    EXPECT_EQ(built_in_scheme("f32")->lattice_of(tensor.name), DType::kF32) << tensor.name;
    EXPECT_EQ(built_in_scheme("bf16")->lattice_of(tensor.name), tensor.bf16) << tensor.name;
    EXPECT_EQ(built_in_scheme("q4_0")->lattice_of(tensor.name), tensor.q4_0) << tensor.name;
  }
}

}  // namespace
}  // namespace carat
