#include "tensor/float_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace carat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint16_t kSign = 0x8000;

/// A 16-bit format by its definition: sign, exponent, mantissa.
struct Format {
  int mantissa_bits;
  int bias;
  uint16_t infinity;  // bits of +infinity; all finite magnitudes are below
  uint16_t (*from_float)(float);
  float (*to_float)(uint16_t);

  double value(uint16_t bits) const {
    const int magnitude = bits & 0x7fff;
    const int exponent = magnitude >> mantissa_bits;
    const int mantissa = magnitude & ((1 << mantissa_bits) - 1);
    const double unsigned_value = exponent == 0
                                      ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                      : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    return bits & kSign ? -unsigned_value : unsigned_value;
  }
  bool is_nan(uint16_t bits) const { return (bits & 0x7fff) > infinity; }
};

class FloatFormats : public testing::TestWithParam<Format> {};

INSTANTIATE_TEST_SUITE_P(Formats, FloatFormats,
                         testing::Values(Format{10, 15, 0x7c00, f16_from_float, float_from_f16},
                                         Format{7, 127, 0x7f80, bf16_from_float, float_from_bf16}),
                         [](const auto& instance) { return instance.param.bias == 15 ? "F16" : "BF16"; });

TEST_P(FloatFormats, AllValuesAreThoseOfTheDefinition) {
  const Format& format = GetParam();
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = format.to_float(bits);
    if (format.is_nan(bits)) {
      ASSERT_TRUE(std::isnan(value)) << i;
    } else if ((bits & 0x7fff) == format.infinity) {
      ASSERT_EQ(value, bits & kSign ? -kInfinity : kInfinity);
    } else {
      ASSERT_EQ(value, format.value(bits)) << i;
      ASSERT_EQ(std::signbit(value), (bits & kSign) != 0) << i;
    }
  }
}

TEST_P(FloatFormats, AllValuesSurviveTheRoundTrip) {
  const Format& format = GetParam();
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const uint16_t again = format.from_float(format.to_float(bits));
    if (format.is_nan(bits)) {
      ASSERT_TRUE(format.is_nan(again)) << i;
      ASSERT_EQ(again & kSign, bits & kSign) << i;
    } else {
      ASSERT_EQ(again, bits) << i;
    }
  }
}

TEST_P(FloatFormats, EachGapRoundsToTheNearestAndItsMiddleToEven) {
  const Format& format = GetParam();
  for (uint16_t sign : {uint16_t{0}, kSign}) {
    for (uint16_t below = 0; below + 1 < format.infinity; ++below) {
      const uint16_t low = below | sign, high = static_cast<uint16_t>(below + 1) | sign;
      const auto middle = static_cast<float>((format.value(low) + format.value(high)) / 2);
      ASSERT_EQ(format.from_float(middle), below % 2 == 0 ? low : high) << below;
      ASSERT_EQ(format.from_float(std::nextafter(middle, format.to_float(low))), low) << below;
      ASSERT_EQ(format.from_float(std::nextafter(middle, format.to_float(high))), high) << below;
    }
  }
}

TEST_P(FloatFormats, BeyondTheLargestComesInfinity) {
  const Format& format = GetParam();
  const auto largest = static_cast<uint16_t>(format.infinity - 1);
  const double half_step = (format.value(largest) - format.value(static_cast<uint16_t>(largest - 1))) / 2;
  const auto edge = static_cast<float>(format.value(largest) + half_step);
  for (float sign : {1.0f, -1.0f}) {
    const uint16_t sign_bit = sign < 0 ? kSign : 0;
    EXPECT_EQ(format.from_float(sign * std::nextafter(edge, 0.0f)), largest | sign_bit);
    EXPECT_EQ(format.from_float(sign * edge), format.infinity | sign_bit);
    EXPECT_EQ(format.from_float(sign * std::numeric_limits<float>::max()), format.infinity | sign_bit);
    EXPECT_EQ(format.from_float(sign * kInfinity), format.infinity | sign_bit);
  }
}

TEST_P(FloatFormats, TheSmallestFloatsGoToZeroWithTheirSign) {
  const Format& format = GetParam();
  EXPECT_EQ(format.from_float(0.0f), 0);
  EXPECT_EQ(format.from_float(-0.0f), kSign);
  EXPECT_EQ(format.from_float(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(format.from_float(-std::numeric_limits<float>::denorm_min()), kSign);
}

TEST_P(FloatFormats, EveryNanStaysOne) {
  const Format& format = GetParam();
  // Payloads in the low bits only, where cutting them off would leave infinity.
  for (uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffc00000u, 0x7f801fffu}) {
    EXPECT_TRUE(format.is_nan(format.from_float(std::bit_cast<float>(bits)))) << bits;
  }
}

}  // namespace
}  // namespace carat
