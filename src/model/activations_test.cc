#include "model/activations.h"

#include <gtest/gtest.h>

#include "model/cache.h"

namespace carat {
namespace {

ModelConfig two_layers(int64_t vocabulary) {
  ModelConfig config;
  config.vocabulary = vocabulary;
  config.hidden = 24;
  config.heads = 3;
  config.per_layer_width = 5;
  config.layers = {{.kv_heads = 3, .head_width = 8, .ffn_width = 100},
                   {.kv_heads = 1, .head_width = 16, .ffn_width = 50}};
  return config;
}

TEST(ActivationsTest, TakesTheLargestOfAllLayers) {
  const Activations activations(two_layers(100));
  EXPECT_EQ(activations.queries.size(), static_cast<size_t>(kChunkTokens * 3 * 16));
  EXPECT_EQ(activations.keys.size(), static_cast<size_t>(kChunkTokens * 3 * 8));
  EXPECT_EQ(activations.gate.size(), static_cast<size_t>(kChunkTokens * 100));
  EXPECT_EQ(activations.per_layer_inputs.size(), static_cast<size_t>(kChunkTokens * 2 * 5));
}

TEST(ActivationsTest, PlansWhatItAllocates) {
  const Activations a(two_layers(300));
  size_t floats = 0;
  for (const auto* array : {&a.residual, &a.normed, &a.branch, &a.per_layer_inputs, &a.per_layer_rows,
                            &a.per_layer_gate, &a.sliding_rotations, &a.full_rotations, &a.queries, &a.keys, &a.values,
                            &a.attended, &a.gate, &a.up, &a.logits}) {
    floats += array->size();
  }
  EXPECT_EQ(activation_bytes(two_layers(300)), floats * sizeof(float));
}

TEST(ActivationsTest, BoundsTheLogits) {
  EXPECT_EQ(Activations(two_layers(100)).logit_rows, kChunkTokens);
  EXPECT_EQ(Activations(two_layers(262144)).logit_rows, 16);
  EXPECT_EQ(Activations(two_layers(1 << 23)).logit_rows, 1);
}

}  // namespace
}  // namespace carat
