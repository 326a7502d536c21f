#include "session/memory_fit.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

constexpr uint64_t kWeights = 1000000;

/// 100 bytes a token of the batch; a position takes 8 bytes as f32, 2 as q8_0.
uint64_t bytes_of(const MemoryChoice& choice) {
  const uint64_t position = choice.cache_type == DType::kF32 ? 8 : 2;
  return kWeights + 100 * static_cast<uint64_t>(choice.batch) + position * static_cast<uint64_t>(choice.context);
}

MemoryWishes wishes() {
  return {.wanted = {.context = 100000, .batch = 128, .cache_type = DType::kF32},
          .smaller_cache_types = {DType::kQ8_0}};
}

MemoryChoice choice(int64_t context, int64_t batch, DType type) { return {context, batch, type}; }

TEST(FitMemory, LeavesWhatFitsAsItIs) {
  const uint64_t needed = bytes_of(wishes().wanted);
  EXPECT_EQ(fit_memory(wishes(), needed, bytes_of), wishes().wanted);
  EXPECT_NE(fit_memory(wishes(), needed - 1, bytes_of), wishes().wanted);
}

TEST(FitMemory, TheBatchIsFirst) {
  const uint64_t needed = bytes_of(wishes().wanted);
  EXPECT_EQ(fit_memory(wishes(), needed - 1, bytes_of), choice(100000, 64, DType::kF32));
  EXPECT_EQ(fit_memory(wishes(), needed - 6401, bytes_of), choice(100000, 32, DType::kF32));
}

TEST(FitMemory, ThenTheContextIsAsLargeAsFits) {
  EXPECT_EQ(fit_memory(wishes(), kWeights + 3200 + 8 * 5000 + 7, bytes_of), choice(5000, 32, DType::kF32));
  EXPECT_EQ(fit_memory(wishes(), kWeights + 3200 + 8 * 4096, bytes_of), choice(4096, 32, DType::kF32));
}

TEST(FitMemory, ThenKeysAndValuesAreSmaller) {
  EXPECT_EQ(fit_memory(wishes(), kWeights + 3200 + 8 * 4096 - 1, bytes_of), choice(16383, 32, DType::kQ8_0));
}

TEST(FitMemory, AtLastEverythingIsSmall) {
  EXPECT_EQ(fit_memory(wishes(), kWeights + 800 + 8 * 600, bytes_of), choice(600, 8, DType::kF32));
  EXPECT_EQ(fit_memory(wishes(), kWeights + 800 + 2 * 512, bytes_of), choice(512, 8, DType::kQ8_0));
  EXPECT_EQ(fit_memory(wishes(), kWeights + 800 + 2 * 512 - 1, bytes_of), std::nullopt);
}

TEST(FitMemory, WhatIsFixedStays) {
  MemoryWishes fixed = wishes();
  fixed.context_fixed = true;
  EXPECT_EQ(fit_memory(fixed, kWeights + 3200 + 2 * 100000, bytes_of), choice(100000, 32, DType::kQ8_0));
  EXPECT_EQ(fit_memory(fixed, kWeights + 800 + 2 * 100000 - 1, bytes_of), std::nullopt);
  fixed.batch_fixed = true;
  EXPECT_EQ(fit_memory(fixed, kWeights + 12800 + 2 * 100000, bytes_of), choice(100000, 128, DType::kQ8_0));
  EXPECT_EQ(fit_memory(fixed, kWeights + 12800 + 2 * 100000 - 1, bytes_of), std::nullopt);
  fixed.cache_type_fixed = true;
  EXPECT_EQ(fit_memory(fixed, bytes_of(fixed.wanted) - 1, bytes_of), std::nullopt);
}

TEST(FitMemory, TheContextHoldsThePrompt) {
  MemoryWishes long_prompt = wishes();
  long_prompt.least_context = 7000;
  EXPECT_EQ(fit_memory(long_prompt, kWeights + 3200 + 8 * 7000, bytes_of), choice(7000, 32, DType::kF32));
  EXPECT_EQ(fit_memory(long_prompt, kWeights + 3200 + 8 * 7000 - 1, bytes_of)->cache_type, DType::kQ8_0);
  EXPECT_EQ(fit_memory(long_prompt, kWeights + 800 + 2 * 7000 - 1, bytes_of), std::nullopt);
}

TEST(FitMemory, AModelWithAShortContextKeepsIt) {
  MemoryWishes small = wishes();
  small.wanted.context = 300;
  EXPECT_EQ(fit_memory(small, kWeights + 3200 + 8 * 300, bytes_of), choice(300, 32, DType::kF32));
  EXPECT_EQ(fit_memory(small, kWeights + 800 + 2 * 300 - 1, bytes_of), std::nullopt);
}

TEST(MemorySavings, SaysWhatEachPointSavesAndWhetherItIsEnough) {
  MemoryWishes fixed = wishes();
  fixed.context_fixed = fixed.batch_fixed = fixed.cache_type_fixed = true;
  const std::vector<MemorySaving> savings = memory_savings(fixed, bytes_of(fixed.wanted) - 20000, bytes_of);
  ASSERT_EQ(savings.size(), 3u);
  EXPECT_EQ(savings[0].choice, choice(97500, 128, DType::kF32));
  EXPECT_EQ(savings[0].saved, 20000u);
  EXPECT_TRUE(savings[0].fits);
  EXPECT_EQ(savings[1].choice, choice(100000, 128, DType::kQ8_0));
  EXPECT_EQ(savings[1].saved, 600000u);
  EXPECT_TRUE(savings[1].fits);
  EXPECT_EQ(savings[2].choice, choice(100000, 8, DType::kF32));
  EXPECT_EQ(savings[2].saved, 12000u);
  EXPECT_FALSE(savings[2].fits);
}

TEST(MemorySavings, AllTogetherWhenNoneIsEnough) {
  MemoryWishes fixed = wishes();
  fixed.context_fixed = true;
  const std::vector<MemorySaving> savings = memory_savings(fixed, kWeights + 800 + 2 * 512, bytes_of);
  ASSERT_EQ(savings.size(), 4u);
  EXPECT_EQ(savings.back().choice, choice(512, 8, DType::kQ8_0));
  EXPECT_TRUE(savings.back().fits);
  EXPECT_FALSE(memory_savings(fixed, kWeights, bytes_of).back().fits);
}

TEST(MemorySavings, NothingHelpsWhenAllIsSmallAlready) {
  const MemoryWishes least = {.wanted = {.context = 100, .batch = 1, .cache_type = DType::kQ8_0}};
  EXPECT_TRUE(memory_savings(least, kWeights, bytes_of).empty());
}

}  // namespace
}  // namespace carat
