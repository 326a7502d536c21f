#include "eval/axis.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace carat {
namespace {

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> found;
  for (const Tick& tick : axis.ticks()) found.push_back(tick.label);
  return found;
}

/// Whether a number is 1, 2 or 5 times a power of ten, as near as floats come.
bool is_round(double number) {
  const double mantissa = number / std::pow(10.0, std::floor(std::log10(number) + 1e-9));
  const auto near = [mantissa](double step) { return std::fabs(mantissa - step) < 1e-6; };
  return near(1.0) || near(2.0) || near(5.0);
}

using Texts = std::vector<std::string>;

TEST(AxisTest, LinearTicksAreRoundNumbers) {
  EXPECT_EQ(labels(Axis::linear({0.0, 23.0})), Texts({"0", "5", "10", "15", "20", "25"}));
  EXPECT_EQ(labels(Axis::linear({7.69, 25.7})), Texts({"5", "10", "15", "20", "25", "30"}));
  EXPECT_EQ(labels(Axis::linear({0.1, 0.3}, 4)), Texts({"0.1", "0.15", "0.2", "0.25", "0.3"}));
  EXPECT_EQ(labels(Axis::linear({-3.0, 1.0}, 4)), Texts({"-3", "-2", "-1", "0", "1"}));
}

TEST(AxisTest, LinearOfOneValueHoldsIt) {
  EXPECT_EQ(labels(Axis::linear({})), Texts({"0", "1"}));
  EXPECT_EQ(labels(Axis::linear({0.0, 0.0})), Texts({"0", "1"}));
  EXPECT_EQ(labels(Axis::linear({7.69})), Texts({"6", "8"}));
}

TEST(AxisTest, LogarithmicTicksArePowersOfTen) {
  EXPECT_EQ(labels(Axis::logarithmic({3e-6, 0.2})), Texts({"10⁻⁶", "10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1", "1"}));
  EXPECT_EQ(labels(Axis::logarithmic({10.0, 1000.0})), Texts({"10", "100", "1000"}));
  EXPECT_LE(Axis::logarithmic({1e-20, 1e20}).ticks().size(), 14u);
}

TEST(AxisTest, ShortLogarithmicRangesHaveTicksInBetween) {
  EXPECT_EQ(labels(Axis::logarithmic({0.003, 0.04})), Texts({"0.002", "0.005", "0.01", "0.02", "0.05"}));
  EXPECT_EQ(labels(Axis::logarithmic({3e-7, 5e-6})), Texts({"2·10⁻⁷", "5·10⁻⁷", "10⁻⁶", "2·10⁻⁶", "5·10⁻⁶"}));
  EXPECT_EQ(labels(Axis::logarithmic({0.07, 0.09})), Texts({"0.07", "0.075", "0.08", "0.085", "0.09"}));
  EXPECT_EQ(labels(Axis::logarithmic({3e-7, 4e-7})),
            Texts({"3·10⁻⁷", "3.2·10⁻⁷", "3.4·10⁻⁷", "3.6·10⁻⁷", "3.8·10⁻⁷", "4·10⁻⁷"}));
  EXPECT_EQ(labels(Axis::logarithmic({0.01})), Texts({"0.01", "0.012"}));
  EXPECT_EQ(labels(Axis::logarithmic({})), Texts({"1", "1.2"}));
}

TEST(AxisTest, PlacesFollowTheScale) {
  const Axis linear = Axis::linear({0.0, 10.0});
  EXPECT_EQ(linear.place(0.0), 0.0);
  EXPECT_EQ(linear.place(10.0), 1.0);
  EXPECT_DOUBLE_EQ(linear.place(2.5), 0.25);
  EXPECT_EQ(linear.place(-5.0), 0.0);
  EXPECT_EQ(linear.place(1e300), 1.0);
  const Axis logarithmic = Axis::logarithmic({0.001, 1000.0});
  EXPECT_DOUBLE_EQ(logarithmic.place(1.0), 0.5);
  EXPECT_EQ(logarithmic.place(0.0), 0.0);
  EXPECT_EQ(logarithmic.place(-1.0), 0.0);
  EXPECT_EQ(logarithmic.place(std::numeric_limits<double>::quiet_NaN()), 0.0);
}

void expect_a_good_axis(const Axis& axis, const std::vector<double>& values) {
  RC_ASSERT(axis.ticks().size() >= 2u);
  RC_ASSERT(axis.ticks().size() <= 14u);
  for (size_t i = 1; i < axis.ticks().size(); ++i) {
    RC_ASSERT(axis.ticks()[i - 1].value < axis.ticks()[i].value);
    RC_ASSERT(axis.ticks()[i - 1].label != axis.ticks()[i].label);
  }
  for (const double value : values) {
    const double slack = 1e-6 * std::max(std::fabs(axis.first()), std::fabs(axis.last()));
    RC_ASSERT(axis.first() - slack <= value);
    RC_ASSERT(value <= axis.last() + slack);
    RC_ASSERT(std::isfinite(axis.place(value)));
  }
}

RC_GTEST_PROP(AxisTest, LinearHoldsAllValues, ()) {
  const int power = *rc::gen::inRange(-9, 10);
  const auto numbers = *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-5000, 5000)));
  std::vector<double> values;
  for (const int number : numbers) values.push_back(number * std::pow(10.0, power));
  const Axis axis = Axis::linear(values);
  expect_a_good_axis(axis, values);
  RC_ASSERT(is_round(axis.ticks()[1].value - axis.ticks()[0].value));
}

RC_GTEST_PROP(AxisTest, LogarithmicHoldsAllValues, ()) {
  const auto powers = *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-120, 121)));
  std::vector<double> values;
  for (const int power : powers) values.push_back(std::pow(10.0, power / 10.0));
  const Axis axis = Axis::logarithmic(values);
  expect_a_good_axis(axis, values);
  RC_ASSERT(axis.first() > 0.0);
  if (axis.last() / axis.first() < 10.0) {
    RC_ASSERT(is_round(axis.ticks()[1].value - axis.ticks()[0].value));
  } else {
    for (const Tick& tick : axis.ticks()) RC_ASSERT(is_round(tick.value));
  }
}

TEST(AxisTest, ExtremeNumbersGiveFinitePlaces) {
  constexpr double kLeast = std::numeric_limits<double>::denorm_min();
  constexpr double kMost = std::numeric_limits<double>::max();
  for (const Axis& axis : {Axis::logarithmic({kLeast, kMost}), Axis::linear({-kMost, kMost}), Axis::linear({kLeast}),
                           Axis::linear({kMost}), Axis::logarithmic({kLeast}), Axis::logarithmic({kMost})}) {
    EXPECT_LE(axis.ticks().size(), 14u);
    for (const double value : {kLeast, 1.0, kMost, -kMost}) EXPECT_TRUE(std::isfinite(axis.place(value)));
  }
}

}  // namespace
}  // namespace carat
