#pragma once

#include <gtest/gtest.h>

#include "formats/model_config.h"

namespace carat {

/// Every member of the two shapes must be the same.
inline void expect_same_config(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.vocabulary, b.vocabulary);
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(a.heads, b.heads);
  EXPECT_EQ(a.per_layer_width, b.per_layer_width);
  EXPECT_EQ(a.experts, b.experts);
  EXPECT_EQ(a.experts_used, b.experts_used);
  EXPECT_EQ(a.expert_width, b.expert_width);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.context, b.context);
  EXPECT_EQ(a.rms_epsilon, b.rms_epsilon);
  EXPECT_EQ(a.softcap, b.softcap);
  EXPECT_EQ(a.rope_theta_sliding, b.rope_theta_sliding);
  EXPECT_EQ(a.rope_theta_full, b.rope_theta_full);
  EXPECT_EQ(a.full_rotary_fraction, b.full_rotary_fraction);
  EXPECT_EQ(a.scheme, b.scheme);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].attention, b.layers[i].attention) << i;
    EXPECT_EQ(a.layers[i].kv_heads, b.layers[i].kv_heads) << i;
    EXPECT_EQ(a.layers[i].head_width, b.layers[i].head_width) << i;
    EXPECT_EQ(a.layers[i].ffn_width, b.layers[i].ffn_width) << i;
    EXPECT_EQ(a.layers[i].kv_layer, b.layers[i].kv_layer) << i;
    EXPECT_EQ(a.layers[i].value_is_key, b.layers[i].value_is_key) << i;
  }
}

}  // namespace carat
