#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace carat {
namespace {

TEST(Random, GivesThePublishedNumbers) {
  // The first numbers of the demonstration program of the PCG library: seed 42, stream 54.
  Random random(42, 54);
  for (uint32_t expected : {0xa15c02b7u, 0x7b47f409u, 0xba1d3330u, 0x83d2f293u, 0xbfa4784bu, 0xcbed606eu}) {
    EXPECT_EQ(random.next(), expected);
  }
}

TEST(Random, SameSeedSameNumbers) {
  Random a(7), b(7), other_seed(8), other_stream(7, 1);
  int equal_seed = 0, equal_stream = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint32_t number = a.next();
    ASSERT_EQ(number, b.next());
    equal_seed += number == other_seed.next();
    equal_stream += number == other_stream.next();
  }
  EXPECT_LT(equal_seed, 5);
  EXPECT_LT(equal_stream, 5);
}

TEST(Random, UniformFillsItsRange) {
  Random random(1);
  double sum = 0;
  float least = 1, greatest = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const float value = random.uniform();
    ASSERT_GE(value, 0.0f);
    ASSERT_LT(value, 1.0f);
    sum += value;
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);
  EXPECT_LT(least, 0.001f);
  EXPECT_GT(greatest, 0.999f);
}

TEST(Random, BelowIsEvenAndBounded) {
  Random random(2);
  std::vector<int> counts(6);
  for (int i = 0; i < 60000; ++i) ++counts.at(random.below(6));
  for (int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(random.below(1), 0u);
  // A bound of three quarters of 2^32: a plain remainder would make its first third twice as likely.
  int first_third = 0;
  for (int i = 0; i < 30000; ++i) first_third += random.below(3u << 30) < (1u << 30);
  EXPECT_NEAR(first_third, 10000, 500);
}

TEST(Random, NormalHasTheMomentsOfANormal) {
  Random random(3);
  constexpr int kCount = 200000;
  double sum = 0, squares = 0, fourths = 0;
  for (int i = 0; i < kCount; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
    fourths += value * value * value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
  EXPECT_NEAR(fourths / kCount, 3, 0.12);
}

}  // namespace
}  // namespace carat
