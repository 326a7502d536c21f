#include "lattice/recover_magnitudes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace carat {
namespace {

struct Collected {
  bool few;
  DistinctMagnitudes magnitudes;
  std::vector<uint8_t> places;
};

Collected collected(const std::vector<float>& values, size_t most) {
  Collected result;
  result.places.resize(values.size());
  result.few = result.magnitudes.collect(values, most, result.places);
  return result;
}

TEST(DistinctMagnitudes, EveryValueHasThePlaceOfItsMagnitude) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const uint32_t most = 1 + random.below(128);
    std::vector<float> pool(most);
    for (float& number : pool) number = std::bit_cast<float>(random.next() & 0x7f7fffffu);
    std::vector<float> values(1 + random.below(300));
    for (float& value : values) {
      const float number = random.below(8) == 0 ? 0.0f : pool[random.below(most)];
      value = random.below(2) == 0 ? number : -number;
    }
    const auto [few, magnitudes, places] = collected(values, most);
    ASSERT_TRUE(few);
    size_t last = 0;
    for (size_t k = 0; k < values.size(); ++k) {
      ASSERT_EQ(std::bit_cast<float>(magnitudes.bits[places[k]]), std::fabs(values[k]));
      ASSERT_EQ(places[k] == 0, values[k] == 0);
      ASSERT_LE(places[k], last + 1) << "in the order in which they appear";
      last = std::max<size_t>(last, places[k]);
    }
    ASSERT_EQ(magnitudes.count, last);
    for (size_t place = 1; place <= last; ++place) {
      const auto number = std::bit_cast<float>(magnitudes.bits[place]);
      ASSERT_EQ(magnitudes.appears_with[place][0], std::ranges::count(values, number) > 0);
      ASSERT_EQ(magnitudes.appears_with[place][1], std::ranges::count(values, -number) > 0);
    }
  }
}

TEST(DistinctMagnitudes, OneTooManyIsRefused) {
  for (size_t most : {1, 2, 8, 128}) {
    std::vector<float> values{0.0f, -0.0f};
    for (size_t i = 1; i <= most; ++i) values.insert(values.end(), {static_cast<float>(i), -static_cast<float>(i)});
    EXPECT_TRUE(collected(values, most).few);
    EXPECT_EQ(collected(values, most).magnitudes.count, most);
    values.push_back(0.5f);
    EXPECT_FALSE(collected(values, most).few);
  }
}

TEST(DistinctMagnitudes, ValuesThatAreNotFiniteAreRefused) {
  for (float wrong : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                      std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_FALSE(collected({1.0f, wrong}, 8).few);
  }
}

}  // namespace
}  // namespace carat
