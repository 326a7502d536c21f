#include "model/cache.h"

#include <gtest/gtest.h>

#include <limits>

namespace carat {
namespace {

constexpr int64_t kWindow = 5;
constexpr int64_t kRing = kWindow + kChunkTokens - 1;

/// A sliding and a full layer that own their keys and values, and one of each that reads them.
ModelConfig two_owners() {
  ModelConfig config;
  config.sliding_window = kWindow;
  config.layers = {
      {.attention = AttentionType::kSliding, .kv_heads = 2, .head_width = 4, .kv_layer = 0},
      {.attention = AttentionType::kFull, .kv_heads = 1, .head_width = 6, .kv_layer = 1},
      {.attention = AttentionType::kFull, .kv_heads = 1, .head_width = 6, .kv_layer = 1},
      {.attention = AttentionType::kSliding, .kv_heads = 2, .head_width = 4, .kv_layer = 0},
  };
  return config;
}

/// Stores rows that hold their position (keys) and its negative (values).
void append(KvCache& cache, int64_t T) {
  ASSERT_TRUE(cache.reserve(cache.size() + T).ok());
  cache.extend(T);
  for (const size_t layer : {size_t{0}, size_t{1}}) {
    const int64_t width = layer == 0 ? 8 : 6;
    std::vector<float> keys(static_cast<size_t>(T * width));
    std::vector<float> values(keys.size());
    for (int64_t i = 0; i < T * width; ++i) {
      keys[i] = static_cast<float>(cache.size() - T + i / width);
      values[i] = -keys[i];
    }
    cache.store(layer, T, keys.data(), values.data());
  }
}

TEST(CacheTest, AllocatesNothingBeforeItIsUsed) { EXPECT_EQ(KvCache(two_owners(), 100000).bytes(), 0u); }

TEST(CacheTest, GrowsByDoublingUpToTheLimit) {
  const ModelConfig config = two_owners();
  KvCache cache(config, 1000);
  for (const auto& [asked, reserved] : {std::pair{1, 256}, {256, 256}, {257, 512}, {513, 1000}, {1000, 1000}}) {
    ASSERT_TRUE(cache.reserve(asked).ok());
    EXPECT_EQ(cache.bytes(), kv_cache_bytes(config, reserved)) << asked;
  }
}

TEST(CacheTest, RefusesMoreThanItsLimit) {
  KvCache cache(two_owners(), 10);
  EXPECT_TRUE(cache.reserve(10).ok());
  const Status status = cache.reserve(11);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("11"), std::string::npos) << status.error().message;
}

TEST(CacheTest, ReportsMissingMemory) {
  const int64_t limit = int64_t{1} << 50;
  KvCache cache(two_owners(), limit);
  append(cache, 3);
  const Status status = cache.reserve(limit);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("smaller context"), std::string::npos) << status.error().message;
  EXPECT_EQ(cache.view(1).keys[2 * 6], 2.0f);
}

TEST(CacheTest, SlidingLayersKeepOneWindowAndOneChunk) {
  KvCache cache(two_owners(), 4096);
  ASSERT_TRUE(cache.reserve(4096).ok());
  EXPECT_EQ(cache.view(0).capacity, kRing);
  EXPECT_EQ(cache.view(1).capacity, 4096);
}

TEST(CacheTest, SharingLayersSeeTheirDonor) {
  KvCache cache(two_owners(), 64);
  append(cache, 10);
  EXPECT_EQ(cache.view(3).keys, cache.view(0).keys);
  EXPECT_EQ(cache.view(2).values, cache.view(1).values);
  EXPECT_EQ(cache.view(3).kv_heads, 2);
  EXPECT_EQ(cache.view(2).width, 6);
}

TEST(CacheTest, EveryVisiblePositionIsThereWhileItGrowsAndWraps) {
  KvCache cache(two_owners(), 2000);
  for (const int64_t T : {1, 3, 128, 100, 1, 1, 128, 128, 128, 7, 128, 128, 1, 90}) {
    append(cache, T);
    const KeyValueView sliding = cache.view(0);
    const KeyValueView full = cache.view(1);
    const int64_t first_visible = std::max<int64_t>(0, cache.size() - T - kWindow + 1);
    for (int64_t p = first_visible; p < cache.size(); ++p) {
      const int64_t row = p % sliding.capacity;
      ASSERT_EQ(sliding.keys[row * 8 + 7], static_cast<float>(p));
      ASSERT_EQ(sliding.values[row * 8], static_cast<float>(-p));
    }
    for (int64_t p = 0; p < cache.size(); ++p) ASSERT_EQ(full.keys[(p % full.capacity) * 6], static_cast<float>(p));
  }
  EXPECT_GT(cache.size(), kRing);
}

}  // namespace
}  // namespace carat
