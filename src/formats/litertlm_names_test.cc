#include "formats/litertlm_names.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

const std::string kLayer = "LanguageModel.decode_graph/transformer.transformer/layer_13/layer_13.pre_qkv/";

TEST(LitertlmNames, LinearLayers) {
  EXPECT_EQ(linear_module_of_path(kLayer + "attn.pre_qkv/q_einsum/btd,ndh->btnh/dot_general"),
            "model.layers.13.self_attn.q_proj");
  EXPECT_EQ(linear_module_of_path(kLayer + "mlp/linear/dot_general3"), "model.layers.13.mlp.down_proj");
  EXPECT_EQ(linear_module_of_path(kLayer + "per_layer_embedding_gate/dot_general"),
            "model.layers.13.per_layer_input_gate");
  EXPECT_EQ(linear_module_of_path("decode_graph/per_layer_model_projection/dot_general"),
            "model.per_layer_model_projection");
  EXPECT_EQ(linear_module_of_path("decode_softmax/embedder.decode/composite"), "lm_head");
}

TEST(LitertlmNames, WhatIsNotKnownHasNoName) {
  EXPECT_EQ(linear_module_of_path(""), std::nullopt);
  EXPECT_EQ(linear_module_of_path("/q_einsum/"), std::nullopt);  // in no layer
  EXPECT_EQ(linear_module_of_path("/layer_/q_einsum/"), std::nullopt);
  EXPECT_EQ(linear_module_of_path("/layer_1x/q_einsum/"), std::nullopt);
  EXPECT_EQ(linear_module_of_path("/layer_-1/q_einsum/"), std::nullopt);
  EXPECT_EQ(linear_module_of_path("/layer_99999999999999999999/q_einsum/"), std::nullopt);
  EXPECT_EQ(linear_module_of_path(kLayer + "kv_einsum2/dot_general"), std::nullopt);
  EXPECT_EQ(norm_of_path(kLayer + "some_norm/composite"), std::nullopt);
}

TEST(LitertlmNames, Norms) {
  EXPECT_EQ(norm_of_path(kLayer + "pre_attention_norm/composite"), "model.layers.13.input_layernorm.weight");
  EXPECT_EQ(norm_of_path(kLayer + "query_norm/composite"), "model.layers.13.self_attn.q_norm.weight");
  EXPECT_EQ(norm_of_path("a/per_layer_embedding_projection_norm/composite"), "model.per_layer_projection_norm.weight");
  EXPECT_EQ(norm_of_path(kLayer + "value_norm/composite"), "");
}

TEST(LitertlmNames, LayerScalarsAndCaches) {
  EXPECT_EQ(layer_scalar_of_path("t/layer_2/layer_2._maybe_apply_skip_scale/mul"), "model.layers.2.layer_scalar");
  EXPECT_EQ(layer_scalar_of_path("t/layer_2/mul"), std::nullopt);
  EXPECT_EQ(cache_scale_of_name("kv_cache_k_4"), "model.layers.4.self_attn.k_cache_scale");
  EXPECT_EQ(cache_scale_of_name("decode_kv_cache_v_14"), "model.layers.14.self_attn.v_cache_scale");
  for (const char* other : {"kv_cache_k_", "kv_cache_x_1", "kv_cache_k_1_slice", "cache_k_1", "kv_cache_k_-1"}) {
    EXPECT_EQ(cache_scale_of_name(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace carat
