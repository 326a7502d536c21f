#include "lattice/static_range.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <limits>

namespace carat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Any float but NaN.
float any_number() {
  const float value = std::bit_cast<float>(*rc::gen::arbitrary<uint32_t>());
  return std::isnan(value) ? 0.0f : value;
}

/// Scales of which 128 do not overflow.
float any_scale() {
  const int exponent = *rc::gen::inRange(-126, 119);
  return std::ldexp(1.0f + static_cast<float>(*rc::gen::inRange(0, 1 << 23)) * 0x1p-23f, exponent);
}

TEST(StaticRange, IsTheNearestIntegerOfTheFloatQuotient) {
  EXPECT_TRUE(rc::check([] {
    const float scale = any_scale();
    const float x = *rc::gen::element(any_number(), scale * static_cast<float>(*rc::gen::inRange(-300, 300)) / 2);
    const float quotient = x / scale;
    const double nearest = std::nearbyint(static_cast<double>(quotient));
    RC_ASSERT(static_code(x, scale) == std::fmin(std::fmax(nearest, -128.0), 127.0));
  }));
}

TEST(StaticRange, SnappingTwiceIsSnappingOnce) {
  EXPECT_TRUE(rc::check([] {
    const float scale = any_scale();
    const float once = snap_static(any_number(), scale);
    RC_ASSERT(std::bit_cast<uint32_t>(snap_static(once, scale)) == std::bit_cast<uint32_t>(once));
  }));
}

TEST(StaticRange, EachCodeIsThatOfItsValue) {
  EXPECT_TRUE(rc::check([] {
    const float scale = any_scale();
    for (int code = -128; code <= 127; ++code) RC_ASSERT(static_code(static_cast<float>(code) * scale, scale) == code);
  }));
}

TEST(StaticRange, HalvesGoToEven) {
  for (int code = -127; code <= 125; code += 2) {
    EXPECT_EQ(static_code(static_cast<float>(code) + 0.5f, 1.0f), code + 1);
    EXPECT_EQ(static_code(static_cast<float>(code) - 0.5f, 1.0f), code - 1);
    EXPECT_EQ(static_code((static_cast<float>(code) + 0.5f) * 0.25f, 0.25f), code + 1);
  }
}

TEST(StaticRange, WhatIsBeyondGoesToTheEnds) {
  for (const float x : {127.0f, 127.5f, 1e10f, std::numeric_limits<float>::max(), kInfinity}) {
    EXPECT_EQ(static_code(x, 1.0f), 127);
    EXPECT_EQ(snap_static(x, 0.5f), 63.5f);
  }
  for (const float x : {-128.0f, -128.5f, -129.0f, -1e10f, -kInfinity}) {
    EXPECT_EQ(static_code(x, 1.0f), -128);
    EXPECT_EQ(snap_static(x, 0.5f), -64.0f);
  }
}

TEST(StaticRange, NanStays) {
  EXPECT_TRUE(std::isnan(snap_static(std::nanf(""), 0.5f)));
  EXPECT_TRUE(std::isnan(snap_static(-std::nanf(""), 0.5f)));
}

}  // namespace
}  // namespace carat
