#include "lattice/recover_ranges.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "tests/support/lattice_values.h"

namespace carat {
namespace {

constexpr DType kTypes[] = {DType::kBF16, DType::kF16, DType::kF32};
constexpr uint32_t kLargest = 0x7f7fffff;

float number(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

/// A positive finite number of any size, subnormal ones included.
float any_positive(Random& random) { return number(1 + random.below(kLargest)); }

/// A positive finite number of a type.
float any_positive(DType type, Random& random) {
  for (;;) {
    const float value = rounded(type, any_positive(random));
    if (value > 0 && std::isfinite(value)) return value;
  }
}

TEST(RecoverRanges, HoldWhatIsRoundedToANumberAndNothingElse) {
  Random random(1);
  for (DType type : kTypes) {
    for (int i = 0; i < 30000; ++i) {
      const float magnitude = any_positive(type, random);
      const FloatRange range = rounded_to(type, magnitude);
      ASSERT_FALSE(range.empty());
      ASSERT_EQ(rounded(type, number(range.first)), magnitude);
      ASSERT_EQ(rounded(type, number(range.last)), magnitude);
      ASSERT_NE(rounded(type, number(range.first - 1)), magnitude);
      ASSERT_NE(rounded(type, number(range.last + 1)), magnitude);
    }
  }
}

TEST(RecoverRanges, TheEndsOfATypeAreRoundedLikeTheRest) {
  EXPECT_EQ(rounded_to(DType::kF16, 65504.0f).last, bits_of(65520.0f) - 1);
  EXPECT_EQ(rounded_to(DType::kF16, 0x1p-24f).first, bits_of(0x1p-25f) + 1);
  EXPECT_EQ(rounded_to(DType::kBF16, 0x1p-133f).first, 0x8001u);
  EXPECT_EQ(rounded_to(DType::kBF16, 0x1.fep127f).last, 0x7f7f7fffu);
  EXPECT_EQ(rounded_to(DType::kF32, 0x1p-149f).first, 1u);
}

TEST(RecoverRanges, NumbersOfAnotherTypeHaveNone) {
  EXPECT_TRUE(rounded_to(DType::kBF16, 1.001f).empty());
  EXPECT_TRUE(rounded_to(DType::kF16, 1.0001f).empty());
  EXPECT_TRUE(rounded_to(DType::kF16, 65536.0f).empty());
  EXPECT_TRUE(rounded_to(DType::kF16, 0x1p-25f).empty());
  EXPECT_TRUE(rounded_to(DType::kF16, 1e30f).empty());
}

/// The scales have their product in the range, their neighbours do not; or there are none, and the products of two
/// neighbours lie on either side of it.
void expect_scales(int code, FloatRange products) {
  const auto product = [code](uint32_t bits) { return static_cast<float>(code) * number(bits); };
  const FloatRange scales = scales_of(code, products);
  ASSERT_GE(scales.first, 1u);
  ASSERT_LT(product(scales.first - 1), number(products.first));
  ASSERT_GE(product(scales.first), number(products.first));
  ASSERT_LE(product(scales.last), number(products.last));
  ASSERT_GT(product(scales.last + 1), number(products.last));
}

TEST(RecoverRanges, OfScalesEndWhereTheirProductsLeave) {
  Random random(2);
  for (DType type : kTypes) {
    for (int i = 0; i < 30000; ++i) {
      const int code = 1 + static_cast<int>(random.below(128));
      const float magnitude = any_positive(type, random);
      ASSERT_NO_FATAL_FAILURE(expect_scales(code, rounded_to(type, magnitude))) << code << " for " << magnitude;
    }
  }
  for (int code = 1; code <= 128; ++code) {
    for (uint32_t bits = 1; bits < 300; ++bits) {
      ASSERT_NO_FATAL_FAILURE(expect_scales(code, {bits, bits})) << code << " for subnormal " << bits;
      ASSERT_NO_FATAL_FAILURE(expect_scales(code, {kLargest - bits + 1, kLargest - bits + 1})) << code;
    }
  }
}

TEST(RecoverRanges, NoCodeIsLeftOut) {
  Random random(3);
  for (DType type : kTypes) {
    for (int i = 0; i < 20000; ++i) {
      const float scale = any_positive(random);
      const int code = 1 + static_cast<int>(random.below(128));
      const float value = rounded(type, static_cast<float>(code) * scale);
      if (value == 0 || !std::isfinite(value)) continue;
      const uint32_t below = random.below(1000), above = random.below(1000);
      const FloatRange scales{std::max(bits_of(scale), below + 1) - below, std::min(bits_of(scale) + above, kLargest)};
      const CodeSpan codes = codes_of(scales, rounded_to(type, value));
      ASSERT_LE(codes.first, code) << scale;
      ASSERT_GE(codes.last, code) << scale;
    }
  }
}

TEST(RecoverRanges, TheSimplestEndsInTheMostZeros) {
  Random random(4);
  for (int i = 0; i < 20000; ++i) {
    const uint32_t first = 1 + random.below(kLargest - 300);
    const FloatRange range{first, first + random.below(300)};
    uint32_t simple = range.first;
    for (uint32_t bits = range.first; bits <= range.last; ++bits) {
      if (std::countr_zero(bits) > std::countr_zero(simple)) simple = bits;
    }
    ASSERT_EQ(simplest(range), simple) << range.first << " to " << range.last;
  }
}

TEST(RecoverRanges, TheSimplestOfATypeIsFoundWhereverThereIsOne) {
  Random random(5);
  for (DType type : kTypes) {
    for (int i = 0; i < 2000; ++i) {
      // A quarter lies around the ends of binary16 and of the numbers that it holds with fewer bits.
      const float around =
          i % 4 == 0 ? std::ldexp(1.0f, 16 - static_cast<int>(random.below(42))) : any_positive(random);
      const uint32_t first = std::max(bits_of(around), 0x8000u) - random.below(0x8000);
      const FloatRange range{first, std::min(first + random.below(0x10000), kLargest)};
      const std::optional<uint32_t> found = simplest_of(type, range);
      std::optional<uint32_t> simple;
      for (uint32_t bits = range.first; bits <= range.last; ++bits) {
        if (rounded(type, number(bits)) != number(bits)) continue;
        if (!simple || std::countr_zero(bits) > std::countr_zero(*simple)) simple = bits;
      }
      ASSERT_EQ(found, simple) << number(range.first) << " to " << number(range.last);
    }
  }
}

TEST(RecoverRanges, BeyondTheLargestBinary16ASimplerNumberDoesNotHideIt) {
  const FloatRange range{bits_of(65500.0f), bits_of(65540.0f)};
  EXPECT_EQ(number(simplest(range)), 65536.0f);
  EXPECT_EQ(number(*simplest_of(DType::kF16, range)), 65504.0f);
  EXPECT_EQ(simplest_of(DType::kF16, {bits_of(65505.0f), bits_of(65540.0f)}), std::nullopt);
}

}  // namespace
}  // namespace carat
