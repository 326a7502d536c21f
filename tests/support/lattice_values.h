#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "lattice/codes.h"
#include "lattice/recover.h"
#include "tensor/float_formats.h"

namespace carat {

/// What a file of such floats holds of a number.
inline float rounded(DType type, float value) {
  if (type == DType::kBF16) return float_from_bf16(bf16_from_float(value));
  return type == DType::kF16 ? float_from_f16(f16_from_float(value)) : value;
}

/// The value of a code on the lattice of `rule`.
inline float lattice_value(const RecoverRule& rule, int code, float scale) {
  return rounded(rule.value_type, static_cast<float>(code) * scale);
}

/// Whether a group that was found on a lattice has codes and a scale that the rule allows, and they give every value.
inline ::testing::AssertionResult gives(const RecoverRule& rule, std::span<const float> values,
                                        const RecoveredGroup& group, std::span<const int8_t> codes) {
  const CodeRange range = code_range(rule.bits);
  if (group.outcome == Recovery::kOffLattice) return ::testing::AssertionFailure() << "off the lattice";
  if (group.scale < 0 && !rule.negative_scales) return ::testing::AssertionFailure() << "scale " << group.scale;
  const bool fits = rounded(rule.scale_type, group.scale) == group.scale;
  if (fits != (group.outcome == Recovery::kExact)) return ::testing::AssertionFailure() << "scale " << group.scale;
  for (size_t i = 0; i < values.size(); ++i) {
    if (codes[i] < range.lowest + (rule.lowest_code ? 0 : 1) || codes[i] > range.highest ||
        lattice_value(rule, codes[i], group.scale) != values[i] || (codes[i] == 0) != (values[i] == 0)) {
      return ::testing::AssertionFailure()
             << "value " << i << ", " << values[i] << ", has code " << int{codes[i]} << " and scale " << group.scale;
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace carat
