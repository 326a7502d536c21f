#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "tensor/dtype.h"

/// Sets of float32 numbers that follow one another, which is what rounding makes of one number: all that round to it,
/// and all scales whose products with a code do.

namespace carat {

/// Positive finite float32 numbers from `first` to `last`, by their bits, which are in the order of the numbers.
struct FloatRange {
  uint32_t first = 1;
  uint32_t last = 0;

  bool empty() const { return first > last; }
  bool contains(uint32_t bits) const { return first <= bits && bits <= last; }
};

inline FloatRange intersection(FloatRange a, FloatRange b) {
  return {std::max(a.first, b.first), std::min(a.last, b.last)};
}

/// The numbers that become `magnitude`, positive and finite, when they are rounded to `type` (BF16, F16 or F32), half
/// to even. None when it is no number of this type.
FloatRange rounded_to(DType type, float magnitude);

/// The scales whose products with `code`, 1 to 128, lie in `products` once they are rounded to float32.
FloatRange scales_of(int code, FloatRange products);

/// Those of them that are in `scales`, which is not empty.
FloatRange scales_of(int code, FloatRange products, FloatRange scales);

/// The least and the greatest code that have a scale of `scales` with a product in `products`, or a little more than
/// these; none are below `first` or above `last`. Neither range is empty.
struct CodeSpan {
  int first;
  int last;
};
CodeSpan codes_of(FloatRange scales, FloatRange products);

/// The numbers between the smallest positive and the largest finite one of `type`: BF16, F16 or F32.
FloatRange reach_of(DType type);

/// Of the range, which is not empty, the number whose bits end in the most zeros: that with the fewest significant
/// bits. There is only one unless the range has two powers of two.
uint32_t simplest(FloatRange range);

/// The simplest number of a range among those that `type` can hold: BF16, F16 or F32.
std::optional<uint32_t> simplest_of(DType type, FloatRange range);

}  // namespace carat
