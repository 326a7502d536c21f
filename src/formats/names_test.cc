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
