#pragma once

#include <cstdint>

namespace carat {

/// Rotates the first `pairs` pairs of a head in place by `angles` [pairs, 2] (cosine, sine). Dimension i is paired with
/// i + width / 2: y[i] = x[i] cos - x[i + width / 2] sin, y[i + width / 2] = x[i + width / 2] cos + x[i] sin.
inline void rotate_pairs(float* x, int64_t width, int64_t pairs, const float* angles) {
  float* left = x;
  float* right = x + width / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    const float cosine = angles[2 * i], sine = angles[2 * i + 1];
    const float a = left[i], b = right[i];
    left[i] = a * cosine - b * sine;
    right[i] = b * cosine + a * sine;
  }
}

}  // namespace carat
