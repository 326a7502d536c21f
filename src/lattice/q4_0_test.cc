#include "lattice/q4_0.h"

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

using Values = std::array<float, kQ4_0Elements>;

bool same_bits(const BlockQ4_0& a, const BlockQ4_0& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }
bool same_bits(const Values& a, const Values& b) { return std::memcmp(a.data(), b.data(), sizeof(a)) == 0; }

Values decoded(const BlockQ4_0& block) {
  Values values;
  decode_q4_0(block, values);
  return values;
}

Values snapped(const Values& values) { return decoded(encode_q4_0(values)); }

int code(const BlockQ4_0& block, int i) { return i < 16 ? block.nibbles[i] & 0xf : block.nibbles[i - 16] >> 4; }

// ---- The documented rule once more, in other words: roundings by their definition, in double. ----

/// Nearest multiple of 2^quantum, half to even.
double nearest_multiple(double value, int quantum) {
  return std::ldexp(std::nearbyint(std::ldexp(value, -quantum)), quantum);
}

double rounded_to_bf16(float value) {
  if (value == 0) return value;
  const int exponent = std::max(std::ilogb(value), -126);
  return nearest_multiple(value, exponent - 7);
}

double rounded_to_f16(double value) {
  if (value == 0) return value;
  const int exponent = std::max(std::ilogb(value), -14);
  return nearest_multiple(value, exponent - 10);
}

struct PlainBlock {
  double scale;
  std::array<int, kQ4_0Elements> codes;
};

PlainBlock plain_encode(const Values& values) {
  float extremum = 0;
  for (float value : values) {
    if (std::abs(value) > std::abs(extremum)) extremum = value;
  }
  const float step = extremum / -8;
  double scale = rounded_to_bf16(step);
  if (scale > 65280) scale = 65280;
  if (scale < -65280) scale = -65280;
  scale = rounded_to_f16(scale);
  PlainBlock block{scale, {}};
  for (size_t i = 0; i < values.size(); ++i) {
    if (scale == 0) {
      block.codes[i] = 8;
    } else {
      const float reciprocal = 1 / step;
      const float quotient = values[i] * reciprocal;
      const float shifted = quotient + 8.5f;
      block.codes[i] = std::min(15, static_cast<int>(std::trunc(shifted)));
    }
  }
  return block;
}

::testing::AssertionResult equals_the_plain_rule(const Values& values) {
  const BlockQ4_0 block = encode_q4_0(values);
  const PlainBlock plain = plain_encode(values);
  if (static_cast<double>(float_from_f16(block.scale)) != plain.scale) {
    return ::testing::AssertionFailure() << "scale " << float_from_f16(block.scale) << ", expected " << plain.scale;
  }
  const Values back = decoded(block);
  for (int i = 0; i < kQ4_0Elements; ++i) {
    const int expected = plain.codes[static_cast<size_t>(i)];
    if (code(block, i) != expected) {
      return ::testing::AssertionFailure() << "code " << i << " is " << code(block, i) << ", expected " << expected;
    }
    if (static_cast<double>(back[static_cast<size_t>(i)]) != (expected - 8) * plain.scale) {
      return ::testing::AssertionFailure() << "value " << i << " is not (code - 8) * scale";
    }
  }
  return ::testing::AssertionSuccess();
}

/// Everything that must hold for any block of finite values.
::testing::AssertionResult holds_all_laws(const Values& values) {
  if (auto equal = equals_the_plain_rule(values); !equal) return equal;
  const BlockQ4_0 block = encode_q4_0(values);
  const Values once = decoded(block);
  for (float value : once) {
    if (!std::isfinite(value)) return ::testing::AssertionFailure() << "snapped to something not finite";
  }
  if (!same_bits(snapped(once), once)) return ::testing::AssertionFailure() << "snapping twice is not snapping once";
  if (!same_bits(encode_q4_0(once), block)) return ::testing::AssertionFailure() << "re-encodes to another block";
  Values stored_as_bf16 = once;
  for (float& value : stored_as_bf16) value = float_from_bf16(bf16_from_float(value));
  if (!same_bits(encode_q4_0(stored_as_bf16), block)) {
    return ::testing::AssertionFailure() << "a bfloat16 copy re-encodes to another block";
  }
  return ::testing::AssertionSuccess();
}

Values normal_block(Random& random, float scale) {
  Values values;
  for (float& value : values) value = random.normal() * scale;
  return values;
}

TEST(Q4_0, RandomBlocksOfEveryMagnitudeHoldAllLaws) {
  Random random(1);
  for (int exponent = -149; exponent <= 124; ++exponent) {
    for (int round = 0; round < 200; ++round) {
      const Values values = normal_block(random, std::ldexp(1.0f + random.uniform(), exponent));
      ASSERT_TRUE(holds_all_laws(values)) << "around 2^" << exponent << ", round " << round;
    }
  }
}

TEST(Q4_0, AnyFiniteBitPatternsHoldAllLaws) {
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

TEST(Q4_0, EveryScaleIsAFixedPoint) {
  // All scales that the rule can store, the subnormal ones of binary16 included, with all sixteen codes.
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float scale = float_from_f16(static_cast<uint16_t>(bits));
    if (!std::isfinite(scale) || scale == 0 || float_from_bf16(bf16_from_float(scale)) != scale) continue;
    BlockQ4_0 block{};
    block.scale = static_cast<uint16_t>(bits);
    for (int i = 0; i < 16; ++i) block.nibbles[i] = static_cast<uint8_t>(i | ((15 - i) << 4));
    ASSERT_TRUE(same_bits(encode_q4_0(decoded(block)), block)) << "scale " << scale;
    ASSERT_TRUE(holds_all_laws(decoded(block))) << "scale " << scale;
  }
}

TEST(Q4_0, HalfwayValuesRoundAwayFromMinusEight) {
  for (float step : {1.0f, -1.0f, 0.25f, -3.0f, 0x1p-20f, 1024.0f}) {
    Values values{};
    values[0] = -8 * step;
    for (int i = 1; i < 16; ++i) values[static_cast<size_t>(i)] = (static_cast<float>(i) - 8.5f) * step;
    const BlockQ4_0 block = encode_q4_0(values);
    EXPECT_EQ(float_from_f16(block.scale), step);
    EXPECT_EQ(code(block, 0), 0);
    for (int i = 1; i < 16; ++i) EXPECT_EQ(code(block, i), i) << "a value of " << i - 8.5 << " steps";
    EXPECT_TRUE(holds_all_laws(values));
  }
}

TEST(Q4_0, OfEqualMagnitudesTheFirstDecides) {
  Values values{};
  values[3] = 4.0f;
  values[20] = -4.0f;
  const Values positive_first = snapped(values);
  EXPECT_EQ(positive_first[3], 4.0f);
  EXPECT_EQ(positive_first[20], -3.5f);
  std::swap(values[3], values[20]);
  const Values negative_first = snapped(values);
  EXPECT_EQ(negative_first[3], -4.0f);
  EXPECT_EQ(negative_first[20], 3.5f);
  EXPECT_TRUE(holds_all_laws(values));
}

TEST(Q4_0, ZerosOfEitherSign) {
  Values zeros{};
  Values negative_zeros;
  negative_zeros.fill(-0.0f);
  const Values plus_zero{};
  EXPECT_TRUE(same_bits(snapped(zeros), plus_zero));
  EXPECT_TRUE(same_bits(snapped(negative_zeros), plus_zero));
  EXPECT_EQ(encode_q4_0(negative_zeros).scale, 0);

  Values mixed{};  // a negative scale makes a zero code decode to -0: a fixed point all the same
  mixed[0] = 8.0f;
  mixed[1] = -0.0f;
  EXPECT_EQ(snapped(mixed)[1], 0.0f);
  EXPECT_TRUE(holds_all_laws(mixed));
}

TEST(Q4_0, ScalesBelowTheSmallestBecomeZeros) {
  const Values plus_zero{};
  for (float sign : {1.0f, -1.0f}) {
    Values values{};
    values[5] = sign * 8 * 0x1p-25f;  // the step is half of the smallest scale: to even, which is zero
    EXPECT_TRUE(same_bits(snapped(values), plus_zero));
    EXPECT_EQ(encode_q4_0(values).scale, 0);
    values[5] = sign * 8 * 0x1.02p-25f;
    EXPECT_EQ(snapped(values)[5], sign * 8 * 0x1p-24f);
    EXPECT_TRUE(holds_all_laws(values));
    values[5] = sign * std::numeric_limits<float>::denorm_min();
    EXPECT_TRUE(same_bits(snapped(values), plus_zero));
    EXPECT_TRUE(holds_all_laws(values));
  }
}

TEST(Q4_0, HugeValuesStopAtTheLargestScale) {
  for (float extremum : {8 * 65279.0f, 8 * 65280.0f, 8 * 65504.0f, 1e9f, std::numeric_limits<float>::max()}) {
    Values values{};
    values[0] = -extremum;
    values[1] = extremum;
    EXPECT_EQ(float_from_f16(encode_q4_0(values).scale), 65280.0f) << extremum;
    EXPECT_EQ(snapped(values)[0], -8 * 65280.0f);
    EXPECT_EQ(snapped(values)[1], 7 * 65280.0f);
    EXPECT_TRUE(holds_all_laws(values));
  }
}

TEST(Q4_0, BytesAreThoseOfTheFormat) {
  Values values{};
  values[0] = -8.0f;   // step 1, code 0
  values[15] = 7.0f;   // code 15
  values[16] = -7.0f;  // code 1
  values[31] = 3.2f;   // code 11
  const BlockQ4_0 block = encode_q4_0(values);
  EXPECT_EQ(block.scale, 0x3c00);
  EXPECT_EQ(block.nibbles[0], 0x10);
  EXPECT_EQ(block.nibbles[1], 0x88);
  EXPECT_EQ(block.nibbles[15], 0xbf);
}

}  // namespace
}  // namespace carat
