#pragma once

#include <span>

namespace carat {

/// Scale rule "searched": the scale with which codes of so many bits (8, 4 or 2) come closest to `values`, by the sum
/// of squared errors, among these candidates, a the largest magnitude, l and h the lowest and highest code:
///
/// 1. a / -l, the min-max scale, and a / h * 2^(-k / 8) for k = 0 to 35, which goes down to a twentieth of a / h;
/// 2. each refined by least squares: its codes c stay, the scale becomes sum(x c) / sum(c c);
/// 3. the best of these, refined until that gains nothing.
///
/// Never farther from `values` than with the min-max scale. Values that lie on such a lattice and use its lowest or
/// highest code get a scale of it, with which no value moves. The same on every machine; 1 where all values are zero.
/// `values` are finite.
float searched_scale(int bits, std::span<const float> values);

}  // namespace carat
