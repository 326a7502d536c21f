#include "eval/magnitudes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "lattice/static_range.h"

namespace carat {
namespace {

float best_scale_of(const std::vector<float>& values) {
  Magnitudes magnitudes;
  magnitudes.add(values);
  return magnitudes.best_scale();
}

double squared_error(const std::vector<float>& values, float scale) {
  double sum = 0;
  for (const float value : values) {
    const double error = static_cast<double>(value) - static_cast<double>(snap_static(value, scale));
    sum += error * error;
  }
  return sum;
}

/// Student's t with three degrees of freedom: as heavy-tailed as what a gated layer is given.
std::vector<float> heavy_tailed(size_t count) {
  Random random(5);
  std::vector<float> values(count);
  for (float& value : values) {
    double squares = 0;
    for (int i = 0; i < 3; ++i) squares += std::pow(static_cast<double>(random.normal()), 2);
    value = random.normal() / static_cast<float>(std::sqrt(squares / 3));
  }
  return values;
}

TEST(Magnitudes, TheScaleIsNearlyAsGoodAsTheBestOne) {
  Random random(6);
  std::vector<float> normal(20'000);
  for (float& value : normal) value = 3.0f * random.normal();
  std::vector<float> uniform(20'000);
  for (float& value : uniform) value = random.uniform() - 0.5f;
  for (const std::vector<float>& values : {normal, uniform, heavy_tailed(20'000)}) {
    double best = HUGE_VAL;
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::fabs(value));
    for (int i = 1; i <= 400; ++i) {
      best = std::min(best, squared_error(values, largest / 127.5f * std::exp2(-static_cast<float>(i) / 60.0f)));
    }
    EXPECT_LE(squared_error(values, best_scale_of(values)), 1.06 * best);
  }
}

TEST(Magnitudes, RareLargeValuesAreClipped) {
  Random random(7);
  // Rounding a value within the range costs a 195,000th of the square of the largest: more than that many have to pay.
  std::vector<float> values(800'000);
  for (float& value : values) value = random.normal();
  const float without = best_scale_of(values);
  values.push_back(20.0f);
  EXPECT_NEAR(best_scale_of(values), without, 0.3f * without);
  EXPECT_LT(127.5f * best_scale_of(values), 20.0f);
  for (int i = 0; i < 100; ++i) values.push_back(20.0f);
  EXPECT_GT(127.5f * best_scale_of(values), 19.0f);
}

TEST(Magnitudes, TheSignDoesNotCountAndTheUnitOnlyScales) {
  const std::vector<float> values = heavy_tailed(1000);
  std::vector<float> other;
  for (size_t i = 0; i < values.size(); ++i) other.push_back(values[i] * (i % 2 == 0 ? -64.0f : 64.0f));
  EXPECT_EQ(best_scale_of(other), 64.0f * best_scale_of(values));
}

TEST(Magnitudes, ZerosAndTheEndsOfFloat32HaveAScale) {
  EXPECT_EQ(best_scale_of({}), 1.0f);
  EXPECT_EQ(best_scale_of(std::vector<float>(5, 0.0f)), 1.0f);
  EXPECT_EQ(best_scale_of({0.0f, -0.0f, std::numeric_limits<float>::quiet_NaN(), HUGE_VALF}), 1.0f);
  for (const float value : {std::numeric_limits<float>::max(), std::numeric_limits<float>::min(),
                            std::numeric_limits<float>::denorm_min()}) {
    const float scale = best_scale_of({value});
    EXPECT_TRUE(std::isfinite(scale) && scale > 0.0f) << value;
  }
  EXPECT_NEAR(best_scale_of({0.0f, 5.0f}) * 127.5f, 5.0f, 0.5f);
}

}  // namespace
}  // namespace carat
