#include "lattice/q8_0.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "tensor/float_formats.h"

// The rule of the lattice, held with zero tolerance.

namespace carat {
namespace {

using Values = std::array<float, BlockQ8_0::kElements>;

bool same_bits(const BlockQ8_0& a, const BlockQ8_0& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }
bool same_bits(const Values& a, const Values& b) { return std::memcmp(a.data(), b.data(), sizeof(a)) == 0; }

Values decoded(const BlockQ8_0& block) {
  Values values;
  decode_q8_0(block, values);
  return values;
}

Values snapped(const Values& values) { return decoded(encode_q8_0(values)); }

/// Nearest multiple of the spacing of binary16 at this magnitude, half to even, by its definition.
double rounded_to_f16(double value) {
  if (value == 0) return 0;
  const int spacing = std::max(std::ilogb(value), -14) - 10;
  return std::ldexp(std::nearbyint(std::ldexp(value, -spacing)), spacing);
}

/// The documented rule once more, in other words.
::testing::AssertionResult equals_the_plain_rule(const Values& values) {
  float largest = 0;
  for (float value : values) largest = std::fmax(largest, std::abs(value));
  const float step = largest / 127;
  const double scale = rounded_to_f16(std::fmin(step, 65504.0f));
  const BlockQ8_0 block = encode_q8_0(values);
  if (static_cast<double>(float_from_f16(block.scale)) != scale) {
    return ::testing::AssertionFailure() << "scale " << float_from_f16(block.scale) << ", expected " << scale;
  }
  const Values back = decoded(block);
  for (size_t i = 0; i < values.size(); ++i) {
    const float reciprocal = 1 / step;
    const float quotient = values[i] * reciprocal;
    const double code = scale == 0 ? 0 : std::round(static_cast<double>(quotient));
    if (block.codes[i] != code) {
      return ::testing::AssertionFailure() << "code " << i << " is " << +block.codes[i] << ", expected " << code;
    }
    if (back[i] != code * scale) return ::testing::AssertionFailure() << "value " << i << " is not code * scale";
  }
  return ::testing::AssertionSuccess();
}

/// Everything that must hold for any block of finite values.
::testing::AssertionResult holds_all_laws(const Values& values) {
  if (auto equal = equals_the_plain_rule(values); !equal) return equal;
  const BlockQ8_0 block = encode_q8_0(values);
  const Values once = decoded(block);
  for (float value : once) {
    if (!std::isfinite(value)) return ::testing::AssertionFailure() << "snapped to something not finite";
  }
  if (!same_bits(snapped(once), once)) return ::testing::AssertionFailure() << "snapping twice is not snapping once";
  if (!same_bits(encode_q8_0(once), block)) return ::testing::AssertionFailure() << "re-encodes to another block";
  return ::testing::AssertionSuccess();
}

TEST(Q8_0, RandomBlocksOfEveryMagnitudeHoldAllLaws) {
  Random random(1);
  for (int exponent = -149; exponent <= 124; ++exponent) {
    for (int round = 0; round < 200; ++round) {
      const float magnitude = std::ldexp(1.0f + random.uniform(), exponent);
      Values values;
      for (float& value : values) value = random.normal() * magnitude;
      ASSERT_TRUE(holds_all_laws(values)) << "around 2^" << exponent << ", round " << round;
    }
  }
}

TEST(Q8_0, AnyFiniteBitPatternsHoldAllLaws) {
  EXPECT_TRUE(rc::check("finite floats of any bits", [] {
    Values values;
    for (float& value : values) {
      const uint32_t bits = *rc::gen::arbitrary<uint32_t>();
      value = std::bit_cast<float>(bits);
      if (!std::isfinite(value)) value = std::bit_cast<float>(bits & 0xbfffffffu);
    }
    RC_ASSERT(static_cast<bool>(holds_all_laws(values)));
  }));
}

TEST(Q8_0, EveryScaleIsAFixedPoint) {
  // All finite positive scales, the subnormal ones included, with codes over the whole range.
  for (uint32_t bits = 1; bits < 0x7c00; ++bits) {
    BlockQ8_0 block{};
    block.scale = static_cast<uint16_t>(bits);
    for (int i = 0; i < BlockQ8_0::kElements; ++i) block.codes[i] = static_cast<int8_t>(127 - 8 * i);
    block.codes[31] = static_cast<int8_t>(bits % 255 - 127);
    ASSERT_TRUE(same_bits(encode_q8_0(decoded(block)), block)) << "scale " << float_from_f16(block.scale);
  }
}

TEST(Q8_0, EveryCodeIsAFixedPoint) {
  for (float scale : {1.0f, 0x1.554p-9f, 0x1p-24f, 0x1.ffcp-15f, 65504.0f}) {
    for (int code = -127; code <= 127; ++code) {
      BlockQ8_0 block{};
      block.scale = f16_from_float(scale);
      block.codes[7] = -127;
      block.codes[8] = static_cast<int8_t>(code);
      ASSERT_TRUE(same_bits(encode_q8_0(decoded(block)), block)) << code << " * " << scale;
    }
  }
}

TEST(Q8_0, HalvesRoundAwayFromZero) {
  Values values{};
  values[0] = 127.0f;
  values[1] = 0.5f;
  values[2] = -0.5f;
  values[3] = 1.5f;
  values[4] = -2.5f;
  values[5] = 0x1.fffffep-2f;  // the largest below a half
  values[6] = -126.5f;
  const BlockQ8_0 block = encode_q8_0(values);
  EXPECT_EQ(float_from_f16(block.scale), 1.0f);
  const int expected[] = {127, 1, -1, 2, -3, 0, -127};
  for (int i = 0; i < 7; ++i) EXPECT_EQ(block.codes[i], expected[i]) << i;
  EXPECT_TRUE(holds_all_laws(values));
}

TEST(Q8_0, ScalesBelowTheSmallestBecomeZeros) {
  const Values plus_zero{};
  for (float magnitude : {0.0f, std::numeric_limits<float>::denorm_min(), 127 * 0x1p-25f}) {
    for (float sign : {1.0f, -1.0f}) {
      Values values{};
      values[5] = sign * magnitude;
      EXPECT_TRUE(same_bits(snapped(values), plus_zero)) << values[5];
      EXPECT_TRUE(holds_all_laws(values));
    }
  }
  Values values{};
  values[5] = -127 * 0x1.02p-25f;
  EXPECT_EQ(snapped(values)[5], -127 * 0x1p-24f);
}

TEST(Q8_0, ScalesAboveTheLargestStayThere) {
  for (float magnitude : {127 * 65504.0f, 127 * 65520.0f, 1e20f, std::numeric_limits<float>::max()}) {
    Values values{};
    values[0] = -magnitude;
    values[9] = magnitude / 4;
    EXPECT_EQ(snapped(values)[0], -127 * 65504.0f);
    EXPECT_EQ(snapped(values)[9], 32 * 65504.0f);
    EXPECT_TRUE(holds_all_laws(values));
  }
}

}  // namespace
}  // namespace carat
