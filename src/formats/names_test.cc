#include "formats/names.h"

#include <gtest/gtest.h>

#include "tests/support/tiny_model.h"

namespace carat {
namespace {

TEST(Names, EveryTensorOfAModelHasAGgufNameAndComesBack) {
  const TinyModel model;
  for (const TensorSpec& spec : expected_tensors(model.config)) {
    const auto gguf = gguf_name_from_hf(spec.name);
    ASSERT_TRUE(gguf) << spec.name;
    EXPECT_EQ(hf_name_from_gguf(*gguf), spec.name);
  }
}

TEST(Names, ThoseThatAreEasyToConfuse) {
  EXPECT_EQ(hf_name_from_gguf("blk.3.attn_q.weight"), "model.layers.3.self_attn.q_proj.weight");
  EXPECT_EQ(hf_name_from_gguf("blk.12.post_norm.weight"), "model.layers.12.post_per_layer_input_norm.weight");
  EXPECT_EQ(hf_name_from_gguf("blk.0.post_ffw_norm.weight"), "model.layers.0.post_feedforward_layernorm.weight");
  EXPECT_EQ(hf_name_from_gguf("blk.0.post_attention_norm.weight"), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(hf_name_from_gguf("blk.0.layer_output_scale.weight"), "model.layers.0.layer_scalar");
}

TEST(Names, ScalesBesideWeights) {
  const std::pair<const char*, const char*> pairs[] = {
      {"model.layers.7.self_attn.q_proj.input_activation_scale", "blk.7.attn_q.input_scale"},
      {"model.layers.7.mlp.down_proj.output_activation_scale", "blk.7.ffn_down.output_scale"},
      {"lm_head.input_activation_scale", "output.input_scale"},
      {"model.layers.3.self_attn.k_cache_scale", "blk.3.attn_k_cache.scale"},
      {"model.layers.3.self_attn.v_cache_scale", "blk.3.attn_v_cache.scale"},
      {"model.embed_tokens_per_layer.weight_scale", "per_layer_token_embd.row_scale"},
      {"model.layers.0.per_layer_projection.weight_scale", "blk.0.proj.row_scale"},
  };
  for (const auto& [hf, gguf] : pairs) {
    EXPECT_EQ(gguf_name_from_hf(hf), gguf);
    EXPECT_EQ(hf_name_from_gguf(gguf), hf);
    EXPECT_EQ(is_static_scale(hf), !is_exact_scale(hf)) << hf;
  }
  for (const char* name : {"blk.0.attn_x.input_scale", "blk.0.input_scale", "blk.0.layer_output_scale.row_scale.x",
                           "row_scale", ".row_scale", "blk.0.ffn_gate_exps.input_scale.y"}) {
    EXPECT_FALSE(hf_name_from_gguf(name)) << name;
  }
  for (const char* name : {"model.layers.0.router.scale", "model.layers.0.layer_scalar", "model.norm.weight"}) {
    EXPECT_FALSE(is_static_scale(name) || is_exact_scale(name)) << name;
  }
}

TEST(Names, StrangersHaveNone) {
  for (const char* name : {"rope_freqs.weight", "blk.attn_q.weight", "blk..attn_q.weight", "blk.x.attn_q.weight",
                           "blk.0.attn_q.bias", "blk.0", "blk.", "", "blk.0.ffn_gate_inp.bias"}) {
    EXPECT_FALSE(hf_name_from_gguf(name)) << name;
  }
  EXPECT_FALSE(gguf_name_from_hf("model.vision_tower.layers.0.weight"));
}

TEST(Names, TensorsOfTheTextModelAreKnownByTheirPlace) {
  for (const char* name :
       {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", "model.per_layer_model_projection.weight",
        "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.weight_scale"}) {
    EXPECT_TRUE(is_of_text_model(name)) << name;
  }
  for (const char* name : {"model.vision_tower.layers.0.weight", "model.embed_audio.x", "model.layers", ""}) {
    EXPECT_FALSE(is_of_text_model(name)) << name;
  }
}

TEST(Names, TextPartOfACompositeCheckpoint) {
  EXPECT_EQ(text_only_name("model.language_model.layers.0.layer_scalar"), "model.layers.0.layer_scalar");
  EXPECT_EQ(text_only_name("model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(text_only_name("model.vision_tower.x"), "model.vision_tower.x");
}

}  // namespace
}  // namespace carat
