#include "eval/running_mean.h"

#include <gtest/gtest.h>

#include <cmath>

namespace carat {
namespace {

TEST(RunningMeanTest, KnowsMeanAndStandardError) {
  RunningMean values;
  for (const double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) values.add(value);
  EXPECT_EQ(values.count(), 8);
  EXPECT_NEAR(values.mean(), 5.0, 1e-15);
  EXPECT_NEAR(values.standard_error(), std::sqrt(32.0 / 7.0 / 8.0), 1e-15);
  EXPECT_EQ(values.estimate().value, values.mean());
  EXPECT_EQ(values.estimate().standard_error, values.standard_error());
}

TEST(RunningMeanTest, OneValueHasNoError) {
  RunningMean values;
  values.add(3.0);
  EXPECT_EQ(values.standard_error(), 0.0);
}

}  // namespace
}  // namespace carat
