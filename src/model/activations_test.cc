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

ModelConfig with_experts(ModelConfig config) {
  config.experts = 9;
  config.experts_used = 3;
  config.expert_width = 120;
  return config;
}

TEST(ActivationsTest, HasRoomForTheWidestExpert) {
  const Activations activations(with_experts(two_layers(100)));
  EXPECT_EQ(activations.gate.size(), static_cast<size_t>(kChunkTokens * 120));
  EXPECT_EQ(activations.router_scores.size(), static_cast<size_t>(kChunkTokens * 9));
  EXPECT_EQ(activations.chosen_experts.size(), static_cast<size_t>(kChunkTokens * 3));
}

void expect_planned(const ModelConfig& config) {
  const Activations a(config);
  const std::vector<float>* const arrays[] = {&a.residual,
                                              &a.normed,
                                              &a.branch,
                                              &a.per_layer_inputs,
                                              &a.per_layer_rows,
                                              &a.per_layer_gate,
                                              &a.sliding_rotations,
                                              &a.full_rotations,
                                              &a.queries,
                                              &a.keys,
                                              &a.values,
                                              &a.attended,
                                              &a.attention_parts,
                                              &a.gate,
                                              &a.up,
                                              &a.router_scores,
                                              &a.expert_factors,
                                              &a.visiting_factors,
                                              &a.expert_rows,
                                              &a.expert_sum};
  auto floats = static_cast<size_t>(config.vocabulary);  // a row of logits
  for (const std::vector<float>* array : arrays) floats += array->size();
  const size_t indices = a.chosen_experts.size() + a.visiting_tokens.size();
  EXPECT_EQ(activation_bytes(config), floats * sizeof(float) + indices * sizeof(int32_t) + a.codes.size());
}

TEST(ActivationsTest, PlansWhatItAllocates) {
  expect_planned(two_layers(300));
  expect_planned(with_experts(two_layers(300)));
}

TEST(ActivationsTest, BoundsTheLogits) {
  EXPECT_EQ(Activations(two_layers(100)).logit_rows, kChunkTokens);
  EXPECT_EQ(Activations(two_layers(262144)).logit_rows, 16);
  EXPECT_EQ(Activations(two_layers(1 << 23)).logit_rows, 1);
}

}  // namespace
}  // namespace carat
