#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace carat {

/// The different magnitudes of a group of values. Each has a place: zero the first, 0, whether it appears or not, the
/// others 1 to `count` in the order in which they first appear.
struct DistinctMagnitudes {
  static constexpr size_t kMost = 128;  ///< other than zero: as many as codes of 8 bits have

  size_t count = 0;
  std::array<uint32_t, kMost + 1> bits;                     ///< of each magnitude as float32
  std::array<std::array<bool, 2>, kMost + 1> appears_with;  ///< [place][sign]: whether it has the sign + (0) or - (1)

  /// Collects them, and writes for each value the place of its magnitude. False, with nothing of use written, when
  /// there are more than `most` other than zero, which is at most kMost, or a value is not finite.
  bool collect(std::span<const float> values, size_t most, std::span<uint8_t> places);
};

}  // namespace carat
