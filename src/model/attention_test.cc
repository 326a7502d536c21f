#include "model/attention.h"

#include <gtest/gtest.h>

#include <cmath>

namespace carat {
namespace {

TEST(RopeFrequenciesTest, SlidingLayersRotateTheWholeHead) {
  ModelConfig config;
  config.rope_theta_sliding = 1e4f;
  const std::vector<float> frequencies = rope_frequencies(config, {.head_width = 256});
  ASSERT_EQ(frequencies.size(), 128u);
  for (size_t i = 0; i < 128; ++i) {
    const double expected = std::pow(1e4, -2.0 * static_cast<double>(i) / 256.0);
    EXPECT_NEAR(frequencies[i], expected, 1e-7 * expected) << i;
  }
}

TEST(RopeFrequenciesTest, FullLayersRotateAPartWithTheWholeWidthAsDenominator) {
  ModelConfig config;
  config.rope_theta_full = 1e6f;
  config.full_rotary_fraction = 0.25f;
  const std::vector<float> frequencies =
      rope_frequencies(config, {.attention = AttentionType::kFull, .head_width = 512});
  ASSERT_EQ(frequencies.size(), 256u);
  for (size_t i = 0; i < 64; ++i) {
    const double expected = std::pow(1e6, -2.0 * static_cast<double>(i) / 512.0);
    EXPECT_NEAR(frequencies[i], expected, 1e-7 * expected) << i;
  }
  for (size_t i = 64; i < 256; ++i) EXPECT_EQ(frequencies[i], 0.0f) << i;
}

}  // namespace
}  // namespace carat
