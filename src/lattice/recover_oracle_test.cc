// The recovery against plain loops over all scales and all codes.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "lattice/recover.h"
#include "tests/support/lattice_values.h"

namespace carat {
namespace {

float number(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

/// The smallest code in magnitude that gives a value, if any does.
std::optional<int> code_for(const RecoverRule& rule, float scale, float value) {
  const CodeRange range = code_range(rule.bits);
  for (int magnitude = 0; magnitude <= -range.lowest; ++magnitude) {
    for (int code : {magnitude, -magnitude}) {
      if (code > range.highest || (code == range.lowest && !rule.lowest_code)) continue;
      if ((code == 0) == (value == 0) && lattice_value(rule, code, scale) == value) return code;
    }
    if (std::fabs(lattice_value(rule, magnitude, scale)) > std::fabs(value)) break;
  }
  return std::nullopt;
}

/// One lattice that holds a group.
struct Choice {
  int top;  ///< magnitude of the code of the largest magnitude
  float scale;
  std::vector<int8_t> codes;
};

std::optional<Choice> with_scale(const RecoverRule& rule, float scale, const std::vector<float>& values) {
  Choice choice{0, scale, {}};
  for (float value : values) {
    const std::optional<int> code = code_for(rule, scale, value);
    if (!code) return std::nullopt;
    choice.codes.push_back(static_cast<int8_t>(*code));
    choice.top = std::max(choice.top, std::abs(*code));
  }
  return choice;
}

/// Whether `a` comes before `b`: coarser, simpler, smaller, positive.
bool precedes(const Choice& a, const Choice& b) {
  if (a.top != b.top) return a.top < b.top;
  const uint32_t of_a = bits_of(std::fabs(a.scale)), of_b = bits_of(std::fabs(b.scale));
  if (of_a == of_b) return a.scale > b.scale;
  const int zeros_of_a = std::countr_zero(of_a), zeros_of_b = std::countr_zero(of_b);
  return zeros_of_a == zeros_of_b ? of_a < of_b : zeros_of_a > zeros_of_b;
}

float largest_magnitude(const std::vector<float>& values) {
  float largest = 0;
  for (float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

/// Whether products of the scale could be rounded to the largest magnitude. Where numbers are subnormal, rounding may
/// double them.
bool may_matter(const RecoverRule& rule, float scale, float largest) {
  const float most = scale * static_cast<float>(1 << (rule.bits - 1));
  return 0.49f * largest <= most && scale <= 2 * largest;
}

/// The best of these scales and their opposites.
template <typename Scales>
std::optional<Choice> best_of(const RecoverRule& rule, const Scales& scales, const std::vector<float>& values) {
  const float largest = largest_magnitude(values);
  std::optional<Choice> best;
  for (float scale : scales) {
    if (!may_matter(rule, scale, largest)) continue;
    for (float sign : {1.0f, -1.0f}) {
      if (sign < 0 && !rule.negative_scales) continue;
      std::optional<Choice> choice = with_scale(rule, sign * scale, values);
      if (choice && (!best || precedes(*choice, *best))) best = std::move(choice);
    }
  }
  return best;
}

/// All scales of a narrow type.
std::vector<float> all_scales(DType type) {
  std::vector<float> scales;
  for (uint32_t bits = 1; bits < 0x8000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float scale = type == DType::kBF16 ? float_from_bf16(half) : float_from_f16(half);
    if (std::isfinite(scale)) scales.push_back(scale);
  }
  return scales;
}

/// Scales at which a code begins or ends to give a value, or are next to one: the scales that give all values are
/// bounded by some of them.
std::set<float> turning_scales(const RecoverRule& rule, const std::vector<float>& values) {
  std::set<float> scales;
  for (float value : values) {
    if (value == 0) continue;
    for (int code = 1; code <= 1 << (rule.bits - 1); ++code) {
      // By halving: the first scale whose product is not below the value, and the first whose product is above.
      for (bool above : {false, true}) {
        uint32_t low = 0, high = 0x7f800000;
        while (low + 1 < high) {
          const uint32_t middle = low + (high - low) / 2;
          const float product = lattice_value(rule, code, number(middle));
          (above ? product > std::fabs(value) : product >= std::fabs(value)) ? high = middle : low = middle;
        }
        if (low > 0) scales.insert(number(low));
        if (high < 0x7f800000) scales.insert(number(high));
      }
    }
  }
  return scales;
}

/// The numbers between two neighbours of `turning_scales` either all give the values or none does, so that one of each
/// kind of ending in zeros suffices.
std::vector<float> all_kinds_of_scales(const std::set<float>& turning) {
  std::vector<float> scales;
  std::optional<uint32_t> before;
  for (float scale : turning) {
    scales.push_back(scale);
    const uint32_t end = bits_of(scale);
    for (uint32_t step = 1; before && step < 0x80000000u; step *= 2) {
      const uint32_t first = (*before / step + 1) * step;
      if (first > end) break;
      scales.push_back(number(first));
    }
    before = end;
  }
  return scales;
}

/// Small groups: of a lattice, with one value moved to a neighbour, or of a few numbers with few bits.
std::vector<float> any_group(const RecoverRule& rule, Random& random) {
  const size_t count = 1 + random.below(rule.bits == 8 ? 9 : 6);
  const CodeRange range = code_range(rule.bits);
  const bool tiny = random.below(4) == 0;
  const int smallest = rule.value_type == DType::kF16 ? -26 : -135;
  const int exponent = tiny ? smallest + static_cast<int>(random.below(10)) : -8 + static_cast<int>(random.below(6));
  float scale = std::ldexp(1.0f + static_cast<float>(random.below(1 << 23)) * 0x1p-23f, exponent);
  if (random.below(2) == 0) scale = rounded(rule.scale_type, scale);
  if (rule.negative_scales && random.below(2) == 0) scale = -scale;
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    const int code =
        range.lowest + static_cast<int>(random.below(static_cast<uint32_t>(range.highest - range.lowest + 1)));
    values.push_back(lattice_value(rule, code, scale));
  }
  if (random.below(2) == 0) {
    float& moved = values[random.below(static_cast<uint32_t>(count))];
    const uint32_t ulp = rule.value_type == DType::kBF16 ? 0x10000 : 0x2000;
    const uint32_t bits = bits_of(moved) + (rule.value_type == DType::kF32 ? 1 : ulp);
    if (moved != 0) moved = rounded(rule.value_type, number(bits));
  }
  return values;
}

void expect_same(const RecoverRule& rule, const std::vector<float>& values, const std::optional<Choice>& fitting,
                 const std::optional<Choice>& any) {
  std::vector<int8_t> codes(values.size());
  const RecoveredGroup group = recover_group(rule, values, codes);
  const std::optional<Choice>& expected = fitting ? fitting : any;
  const Recovery outcome = fitting ? Recovery::kExact : (any ? Recovery::kScaleUnfit : Recovery::kOffLattice);
  ASSERT_EQ(group.outcome, outcome);
  if (!expected) return;
  ASSERT_EQ(group.scale, expected->scale);
  ASSERT_EQ(codes, expected->codes);
}

/// How often each outcome was seen.
struct Outcomes {
  int exact = 0, unfit = 0, off = 0;
};

void check_groups(const RecoverRule& rule, int groups, Random& random, Outcomes& seen) {
  for (int i = 0; i < groups; ++i) {
    const std::vector<float> values = any_group(rule, random);
    if (largest_magnitude(values) == 0) continue;
    const std::optional<Choice> any = best_of(rule, all_kinds_of_scales(turning_scales(rule, values)), values);
    const std::optional<Choice> fitting =
        rule.scale_type == DType::kF32 ? any : best_of(rule, all_scales(rule.scale_type), values);
    std::string text;
    for (float value : values) text += std::to_string(bits_of(value)) + " ";
    SCOPED_TRACE("bits of the values: " + text);
    ASSERT_NO_FATAL_FAILURE(expect_same(rule, values, fitting, any));
    ++(fitting ? seen.exact : (any ? seen.unfit : seen.off));
  }
}

class RecoverOracle : public ::testing::TestWithParam<int> {};

TEST_P(RecoverOracle, AgreesForEveryRule) {
  const int bits = GetParam();
  Random random(static_cast<uint64_t>(bits));
  const int groups = bits == 8 ? 3 : 50;
  Outcomes seen;
  for (DType scale_type : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (DType value_type : {DType::kBF16, DType::kF16, DType::kF32}) {
      for (bool lowest_code : {false, true}) {
        for (bool negative_scales : {false, true}) {
          SCOPED_TRACE("scales " + std::string(dtype_name(scale_type)) + ", values " +
                       std::string(dtype_name(value_type)) + (lowest_code ? ", lowest code" : "") +
                       (negative_scales ? ", negative scales" : ""));
          ASSERT_NO_FATAL_FAILURE(
              check_groups({bits, lowest_code, negative_scales, scale_type, value_type}, groups, random, seen));
        }
      }
    }
  }
  EXPECT_GT(std::min({seen.exact, seen.unfit, seen.off}), groups);
}

INSTANTIATE_TEST_SUITE_P(Bits, RecoverOracle, ::testing::Values(2, 4, 8));

}  // namespace
}  // namespace carat
