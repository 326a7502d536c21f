#include "lattice/recover.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/lattice_values.h"
#include "tests/support/random_floats.h"

namespace carat {
namespace {

constexpr DType kFloatTypes[] = {DType::kBF16, DType::kF16, DType::kF32};

struct Recovered {
  RecoveredGroup group;
  std::vector<int8_t> codes;
};

Recovered recovered(const RecoverRule& rule, std::span<const float> values) {
  Recovered result;
  result.codes.resize(values.size());
  result.group = recover_group(rule, values, result.codes);
  return result;
}

std::vector<float> lattice_values(const RecoverRule& rule, std::span<const int8_t> codes, float scale) {
  std::vector<float> values;
  for (int8_t code : codes) values.push_back(lattice_value(rule, code, scale));
  return values;
}

/// How a program that quantizes may pick a scale: the largest magnitude, or the value that has it with its sign,
/// divided by the lowest code, or by the highest plus this.
struct ScaleChoice {
  const char* name;
  bool is_signed;
  float beyond_highest;
};

constexpr ScaleChoice kScaleChoices[] = {{"signed extremum / lowest code", true, 1.0f},
                                         {"largest magnitude / highest code and a half", false, 0.5f},
                                         {"largest magnitude / highest code", false, 0.0f},
                                         {"largest magnitude / -lowest code", false, 1.0f}};

float chosen_scale(const ScaleChoice& choice, const RecoverRule& rule, std::span<const float> values) {
  const float extremum = *std::ranges::max_element(values, {}, [](float value) { return std::fabs(value); });
  const float divisor = static_cast<float>(code_range(rule.bits).highest) + choice.beyond_highest;
  return rounded(rule.scale_type, (choice.is_signed ? -extremum : std::fabs(extremum)) / divisor);
}

/// Moves values onto the lattice of a scale, and returns the codes.
std::vector<int8_t> nearest_codes(const RecoverRule& rule, float scale, std::span<const float> values) {
  const CodeRange range = code_range(rule.bits);
  std::vector<int8_t> codes;
  for (float value : values) {
    const float code = std::nearbyint(value / scale);
    codes.push_back(
        static_cast<int8_t>(std::clamp(code, static_cast<float>(range.lowest), static_cast<float>(range.highest))));
  }
  return codes;
}

/// Whether all groups of a rule are recovered, and how many of them with the very codes that made them.
void expect_recovered(const RecoverRule& rule, const ScaleChoice& choice, int64_t length, int groups, Random& random) {
  int same_codes = 0;
  for (int i = 0; i < groups; ++i) {
    std::vector<float> values = normals(random, length);
    for (float& value : values) value *= 0.02f;
    const float scale = chosen_scale(choice, rule, values);
    const std::vector<int8_t> codes = nearest_codes(rule, scale, values);
    values = lattice_values(rule, codes, scale);
    const Recovered found = recovered(rule, values);
    ASSERT_EQ(found.group.outcome, Recovery::kExact);
    ASSERT_TRUE(gives(rule, values, found.group, found.codes));
    same_codes += found.codes == codes;
  }
  EXPECT_GE(same_codes, groups * 9 / 10);
}

TEST(Recover, EveryWayToChooseAScaleIsRecovered) {
  Random random(1);
  for (const ScaleChoice& choice : kScaleChoices) {
    for (DType scale_type : kFloatTypes) {
      for (DType value_type : kFloatTypes) {
        for (int bits : {2, 4, 8}) {
          const RecoverRule rule{
              .bits = bits, .negative_scales = true, .scale_type = scale_type, .value_type = value_type};
          SCOPED_TRACE(std::string(choice.name) + ", " + std::to_string(bits) + " bits, scales " +
                       std::string(dtype_name(scale_type)) + ", values " + std::string(dtype_name(value_type)));
          ASSERT_NO_FATAL_FAILURE(expect_recovered(rule, choice, 1536, 20, random));
          const int groups = bits == 2 ? 0 : 1000;  // 32 values may all be zero then
          ASSERT_NO_FATAL_FAILURE(expect_recovered(rule, choice, 32, groups, random));
        }
      }
    }
  }
}

/// A rule of any kind.
RecoverRule any_rule() {
  return {.bits = *rc::gen::element(2, 4, 8),
          .lowest_code = *rc::gen::arbitrary<bool>(),
          .negative_scales = *rc::gen::arbitrary<bool>(),
          .scale_type = *rc::gen::element(DType::kBF16, DType::kF16, DType::kF32),
          .value_type = *rc::gen::element(DType::kBF16, DType::kF16, DType::kF32)};
}

/// A scale of the rule's type, from its smallest subnormal number to one whose products are all finite.
float any_scale(const RecoverRule& rule) {
  const bool narrow_range = rule.scale_type == DType::kF16 || rule.value_type == DType::kF16;
  const int lowest = rule.scale_type == DType::kF16 ? -24 : -133;
  const float mantissa = 1.0f + static_cast<float>(*rc::gen::inRange(0, 1 << 23)) * 0x1p-23f;
  const float scale = rounded(rule.scale_type, std::ldexp(mantissa, *rc::gen::inRange(lowest, narrow_range ? 8 : 119)));
  return rule.negative_scales && *rc::gen::arbitrary<bool>() ? -scale : scale;
}

std::vector<int8_t> any_codes(const RecoverRule& rule, int count) {
  const CodeRange range = code_range(rule.bits);
  const int lowest = rule.lowest_code ? range.lowest : range.lowest + 1;
  return *rc::gen::container<std::vector<int8_t>>(
      static_cast<size_t>(count),
      rc::gen::map(rc::gen::inRange(lowest, range.highest + 1), [](int code) { return static_cast<int8_t>(code); }));
}

TEST(Recover, WhateverLiesOnALatticeIsRecovered) {
  EXPECT_TRUE(rc::check([] {
    const RecoverRule rule = any_rule();
    const std::vector<int8_t> codes = any_codes(rule, *rc::gen::inRange(1, 200));
    const std::vector<float> values = lattice_values(rule, codes, any_scale(rule));
    const Recovered found = recovered(rule, values);
    RC_ASSERT(found.group.outcome == Recovery::kExact);
    RC_ASSERT(static_cast<bool>(gives(rule, values, found.group, found.codes)));
  }));
}

TEST(Recover, RecoveringAgainFindsTheSame) {
  EXPECT_TRUE(rc::check([] {
    const RecoverRule rule = any_rule();
    const std::vector<int8_t> codes = any_codes(rule, *rc::gen::inRange(1, 100));
    const Recovered once = recovered(rule, lattice_values(rule, codes, any_scale(rule)));
    const Recovered twice = recovered(rule, lattice_values(rule, once.codes, once.group.scale));
    RC_ASSERT(twice.codes == once.codes);
    RC_ASSERT(twice.group.scale == once.group.scale);
  }));
}

TEST(Recover, TheOrderOfTheValuesDoesNotMatter) {
  EXPECT_TRUE(rc::check([] {
    const RecoverRule rule = any_rule();
    const std::vector<int8_t> codes = any_codes(rule, *rc::gen::inRange(1, 100));
    std::vector<float> values = lattice_values(rule, codes, any_scale(rule));
    const Recovered forwards = recovered(rule, values);
    std::ranges::reverse(values);
    Recovered backwards = recovered(rule, values);
    std::ranges::reverse(backwards.codes);
    RC_ASSERT(backwards.codes == forwards.codes);
    RC_ASSERT(backwards.group.scale == forwards.group.scale);
  }));
}

TEST(Recover, AWiderTypeOfScalesChangesNothingThatBf16Holds) {
  EXPECT_TRUE(rc::check([] {
    RecoverRule rule{.bits = *rc::gen::element(2, 4), .negative_scales = *rc::gen::arbitrary<bool>()};
    const std::vector<int8_t> codes = any_codes(rule, 32);
    const float scale = rounded(DType::kBF16, std::ldexp(1.0f + static_cast<float>(*rc::gen::inRange(0, 128)) / 128.0f,
                                                         *rc::gen::inRange(-17, 8)));
    const std::vector<float> values = lattice_values(rule, codes, scale);
    const Recovered narrow = recovered(rule, values);
    for (DType wider : {DType::kF16, DType::kF32}) {
      rule.scale_type = wider;
      const Recovered wide = recovered(rule, values);
      RC_ASSERT(wide.group.outcome == Recovery::kExact);
      RC_ASSERT(wide.group.scale == narrow.group.scale);
      RC_ASSERT(wide.codes == narrow.codes);
    }
  }));
}

TEST(Recover, ProductsAreRoundedToFloat32First) {
  // A product that float32 puts halfway between two numbers of bfloat16, where the exact product is not: what a program
  // makes of codes and float32 scales, and what rounding the product once would not give.
  const RecoverRule rule{.bits = 8, .scale_type = DType::kF32};
  Random random(2);
  int seen = 0;
  for (int i = 0; i < 2000000; ++i) {
    const float scale = 1.0f + static_cast<float>(random.next() >> 9) * 0x1p-23f;
    const auto code = static_cast<int8_t>(65 + random.below(63));
    const double exact = static_cast<double>(code) * static_cast<double>(scale);
    const float value = lattice_value(rule, code, scale);
    const double ulp = std::ldexp(1.0, std::ilogb(value) - 7);
    if (std::fabs(static_cast<double>(value) - exact) <= ulp / 2) continue;
    ++seen;
    std::vector<int8_t> codes{code};
    for (int8_t other = 1; other < 60; ++other) codes.push_back(other);
    const std::vector<float> values = lattice_values(rule, codes, scale);
    const Recovered found = recovered(rule, values);
    ASSERT_TRUE(gives(rule, values, found.group, found.codes));
  }
  EXPECT_GT(seen, 0);
}

TEST(Recover, AllZeros) {
  for (float zero : {0.0f, -0.0f}) {
    const std::vector<float> values(32, zero);
    for (int bits : {2, 4, 8}) {
      const Recovered found = recovered({.bits = bits}, values);
      EXPECT_EQ(found.group.outcome, Recovery::kExact);
      EXPECT_EQ(found.group.scale, 0.0f);
      EXPECT_FALSE(std::signbit(found.group.scale));
      EXPECT_FALSE(found.group.telling);
      EXPECT_EQ(found.codes, std::vector<int8_t>(32, 0));
    }
  }
}

TEST(Recover, ASingleValueIsItsOwnScale) {
  std::vector<float> values(32, 0.0f);
  values[4] = -0.0f;
  values[9] = -0.01171875f;
  const Recovered found = recovered({}, values);
  EXPECT_EQ(found.group.outcome, Recovery::kExact);
  EXPECT_EQ(found.group.scale, 0.01171875f);
  EXPECT_FALSE(found.group.telling);
  std::vector<int8_t> codes(32, 0);
  codes[9] = -1;
  EXPECT_EQ(found.codes, codes);
}

TEST(Recover, OfLatticesWithACommonFactorTheCoarsestIsTaken) {
  const RecoverRule rule{};
  EXPECT_EQ(recovered(rule, {{2.0f, -4.0f, 6.0f, 0.0f}}).codes, (std::vector<int8_t>{1, -2, 3, 0}));
  EXPECT_EQ(recovered(rule, {{2.0f, -4.0f, 6.0f, 0.0f}}).group.scale, 2.0f);
  EXPECT_EQ(recovered(rule, {{3.0f, -6.0f, 6.0f}}).codes, (std::vector<int8_t>{1, -2, 2}));
  EXPECT_EQ(recovered(rule, {{-8.0f, 6.0f, 4.0f, -2.0f}}).codes, (std::vector<int8_t>{-4, 3, 2, -1}));
  EXPECT_EQ(recovered(rule, {{-8.0f, 6.0f, 4.0f, -1.0f}}).codes, (std::vector<int8_t>{-8, 6, 4, -1}));
}

TEST(Recover, TheExampleOfTheDocuments) {
  const Recovered found = recovered({}, {{0.0625f, -0.109375f, 0.046875f}});
  EXPECT_EQ(found.group.scale, 0x1p-6f);
  EXPECT_EQ(found.codes, (std::vector<int8_t>{4, -7, 3}));
}

/// 5 with it has no common factor, and no coarser lattice has both.
const std::vector<float> kLowest{-8.0f, 5.0f, 1.0f};
const std::vector<float> kBeyondHighest{8.0f, 5.0f, -1.0f};
const std::vector<float> kBothExtremes{8.0f, -8.0f, 5.0f, 1.0f};

TEST(Recover, TheLowestCodeTakesAPositiveScale) {
  for (bool negative_scales : {false, true}) {
    const Recovered found = recovered({.negative_scales = negative_scales}, kLowest);
    EXPECT_EQ(found.group.outcome, Recovery::kExact);
    EXPECT_EQ(found.group.scale, 1.0f);
    EXPECT_EQ(found.codes, (std::vector<int8_t>{-8, 5, 1}));
  }
  EXPECT_EQ(recovered({.lowest_code = false, .negative_scales = true}, kLowest).group.outcome, Recovery::kOffLattice);
}

TEST(Recover, OneBeyondTheHighestCodeTakesANegativeScale) {
  const Recovered found = recovered({.negative_scales = true}, kBeyondHighest);
  EXPECT_EQ(found.group.outcome, Recovery::kExact);
  EXPECT_EQ(found.group.scale, -1.0f);
  EXPECT_EQ(found.codes, (std::vector<int8_t>{-8, -5, 1}));
  EXPECT_EQ(recovered({.negative_scales = false}, kBeyondHighest).group.outcome, Recovery::kOffLattice);
}

TEST(Recover, BothExtremesAreOnNoLattice) {
  const Recovered found = recovered({.negative_scales = true, .scale_type = DType::kF32}, kBothExtremes);
  EXPECT_EQ(found.group.outcome, Recovery::kOffLattice);
  EXPECT_TRUE(found.group.telling);
  // Wider codes have room for both.
  EXPECT_EQ(recovered({.bits = 8}, kBothExtremes).codes, (std::vector<int8_t>{8, -8, 5, 1}));
}

TEST(Recover, SubnormalScales) {
  std::vector<int8_t> codes{-8, 7, -3, 0, 1, 5};
  RecoverRule rule{.scale_type = DType::kF16};
  for (float scale : {0x1p-24f, 0x3p-24f, 0x155p-24f, 0x3fcp-24f}) {  // subnormal in binary16
    const Recovered found = recovered(rule, lattice_values(rule, codes, scale));
    EXPECT_EQ(found.group.outcome, Recovery::kExact);
    EXPECT_EQ(found.group.scale, scale);
    EXPECT_EQ(found.codes, codes);
  }
  rule = {.scale_type = DType::kF32, .value_type = DType::kF32};
  for (float scale : {0x1p-149f, 0x3p-149f, 0x1234567p-151f, 0x1p-126f}) {  // subnormal in float32
    const Recovered found = recovered(rule, lattice_values(rule, codes, scale));
    EXPECT_EQ(found.group.outcome, Recovery::kExact);
    EXPECT_EQ(found.group.scale, scale);
    EXPECT_EQ(found.codes, codes);
  }
}

TEST(Recover, ProductsThatRoundToZeroHaveCodeZero) {
  // With binary16 values and a scale of a quarter of the smallest, codes 1 and 2 give zero, and several codes the same
  // multiple of the smallest.
  const RecoverRule rule{.scale_type = DType::kF32, .value_type = DType::kF16};
  const std::vector<int8_t> codes{1, 2, 3, 4, 5, 6, 7, -8};
  const std::vector<float> values = lattice_values(rule, codes, 0x1p-26f);
  ASSERT_EQ(values[1], 0.0f);
  ASSERT_EQ(values[2], values[4]);
  const Recovered found = recovered(rule, values);
  EXPECT_TRUE(gives(rule, values, found.group, found.codes));
  EXPECT_EQ(found.group.scale, 0x1p-24f);
  EXPECT_EQ(found.codes, (std::vector<int8_t>{0, 0, 1, 1, 1, 2, 2, -2}));
}

TEST(Recover, TiesOfBf16AreRoundedToEven) {
  // 3 * 1.0078125 * 2^k lies halfway between two numbers of bfloat16.
  const RecoverRule rule{};
  const float scale = 0x1.02p-6f;
  const std::vector<float> values = lattice_values(rule, std::vector<int8_t>{-8, 7, 5, 3, 1}, scale);
  ASSERT_NE(values[3], 3 * scale);
  EXPECT_EQ(recovered(rule, values).group.scale, scale);
  std::vector<float> other_way = values;
  other_way[3] = values[3] > 3 * scale ? values[3] - 0x1p-12f : values[3] + 0x1p-12f;
  ASSERT_EQ(std::fabs(other_way[3] - 3 * scale), std::fabs(values[3] - 3 * scale));
  EXPECT_NE(recovered(rule, other_way).group.scale, scale);
}

TEST(Recover, ScalesThatBinary16CannotHoldAreCountedApart) {
  const std::vector<int8_t> codes{-8, 7, 5, 3, 1};
  // Below the smallest of binary16, above its largest, and between two of its subnormal numbers.
  for (float scale : {0x1.82p-30f, 0x1.82p+17f, 0x1.82p-20f}) {
    RecoverRule rule{.scale_type = DType::kF16};
    const std::vector<float> values = lattice_values(rule, codes, scale);
    const Recovered unfit = recovered(rule, values);
    EXPECT_EQ(unfit.group.outcome, Recovery::kScaleUnfit) << scale;
    EXPECT_EQ(unfit.group.scale, scale);
    EXPECT_EQ(unfit.codes, codes);
    EXPECT_TRUE(gives(rule, values, unfit.group, unfit.codes));
    rule.scale_type = DType::kBF16;
    EXPECT_EQ(recovered(rule, values).group.outcome, Recovery::kExact) << scale;
  }
}

TEST(Recover, AFinerLatticeIsTakenWhereTheCoarsestHasNoScaleThatFits) {
  // As code 1 the value would need ten bits of scale; 1025 = 5 * 205, and 205 has eight.
  const RecoverRule rule{.scale_type = DType::kBF16, .value_type = DType::kF32};
  const Recovered found = recovered(rule, {{1025.0f, 0.0f}});
  EXPECT_EQ(found.group.outcome, Recovery::kExact);
  EXPECT_EQ(found.group.scale, 205.0f);
  EXPECT_EQ(found.codes[0], 5);
}

TEST(Recover, ValuesThatAreNotFiniteAreOffEveryLattice) {
  for (float wrong : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                      std::numeric_limits<float>::quiet_NaN()}) {
    for (DType type : kFloatTypes) {
      const RecoverRule rule{.scale_type = DType::kF32, .value_type = type};
      EXPECT_EQ(recovered(rule, {{1.0f, wrong, 0.0f}}).group.outcome, Recovery::kOffLattice);
      EXPECT_EQ(recovered(rule, {{wrong}}).group.outcome, Recovery::kOffLattice);
    }
  }
}

TEST(Recover, HugeValuesStayFinite) {
  const RecoverRule rule{.negative_scales = true, .scale_type = DType::kF32, .value_type = DType::kF32};
  const std::vector<int8_t> codes{-8, 7, 5, 3, 1};
  const float scale = std::numeric_limits<float>::max() / 8;
  const Recovered found = recovered(rule, lattice_values(rule, codes, scale));
  EXPECT_EQ(found.group.scale, scale);
  EXPECT_EQ(found.codes, codes);
}

TEST(Recover, WhateverTheBitsAreWhatIsFoundGivesThem) {
  Random random(5);
  int found_some = 0;
  for (int i = 0; i < 20000; ++i) {
    const RecoverRule rule{.bits = 2 << random.below(3),
                           .lowest_code = random.below(2) == 0,
                           .negative_scales = random.below(2) == 0,
                           .scale_type = kFloatTypes[random.below(3)],
                           .value_type = kFloatTypes[random.below(3)]};
    // A few numbers that repeat, of near sizes or of any; many are subnormal, infinite or no numbers.
    const uint32_t kept_bits = 0xffffffffu << random.below(32), same_bits = random.next();
    std::vector<float> values;
    for (size_t count = 1 + random.below(40); count > 0; --count) {
      const bool repeated = !values.empty() && random.below(2) == 0;
      const uint32_t bits = (random.next() & ~kept_bits) | (same_bits & kept_bits);
      values.push_back(repeated ? -values[random.below(static_cast<uint32_t>(values.size()))]
                                : std::bit_cast<float>(random.below(4) == 0 ? bits & 0x000f0000u : bits));
    }
    const Recovered found = recovered(rule, values);
    if (found.group.outcome == Recovery::kOffLattice) continue;
    ASSERT_TRUE(gives(rule, values, found.group, found.codes));
    ++found_some;
  }
  EXPECT_GT(found_some, 500);
}

TEST(Recover, OrdinaryFloatsAreOnNoLattice) {
  Random random(3);
  for (DType type : kFloatTypes) {
    for (int bits : {2, 4, 8}) {
      const RecoverRule rule{.bits = bits, .negative_scales = true, .scale_type = DType::kF32, .value_type = type};
      for (int i = 0; i < 3000; ++i) {
        std::vector<float> values = normals(random, 32);
        for (float& value : values) value = rounded(type, 0.02f * value);
        const Recovered found = recovered(rule, values);
        ASSERT_EQ(found.group.outcome, Recovery::kOffLattice) << bits << " bits";
        ASSERT_TRUE(found.group.telling);
      }
    }
  }
}

TEST(Recover, TellingGroupsAreRarelyOnALatticeByAccident) {
  Random random(4);
  struct Least {
    int bits;
    int64_t magnitudes;
  };
  for (const Least least : {Least{2, 2}, Least{4, 3}, Least{8, 10}}) {
    const RecoverRule rule{.bits = least.bits, .negative_scales = true, .scale_type = DType::kF32};
    int on_lattice = 0;
    constexpr int kGroups = 5000;
    for (int i = 0; i < kGroups; ++i) {
      std::vector<float> values = normals(random, least.magnitudes);
      for (float& value : values) value = rounded(DType::kBF16, value);
      const Recovered found = recovered(rule, values);
      on_lattice += found.group.telling && found.group.outcome != Recovery::kOffLattice;
      values.pop_back();
      ASSERT_FALSE(recovered(rule, values).group.telling);
    }
    EXPECT_LT(on_lattice, kGroups / 100) << least.bits << " bits";
  }
}

}  // namespace
}  // namespace carat
