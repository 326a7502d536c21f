#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace carat {

/// How often magnitudes of every size came, 16 bins to a doubling over the whole range of float32.
class Magnitudes {
 public:
  /// Values that are not finite do not count.
  void add(std::span<const float> values);

  /// The scale of a static 8-bit quantizer that suits the values: the one with the least expected squared error, when s
  /// goes through (upper edge of a bin) / 127.5, from the largest value down to a 256th of it. A value x costs
  ///
  ///     x^2               below s / 2: it becomes 0
  ///     s^2 / 12          up to 127.5 s: rounding
  ///     (x - 127 s)^2     beyond: clipping
  ///
  /// with the middle of a bin for x. 1 when all values are zero.
  float best_scale() const;

 private:
  // The exponent and the four highest bits of the mantissa of a finite number.
  static constexpr int kShift = 19;
  static constexpr size_t kBins = 0x7f800000u >> kShift;

  static double edge(size_t bin);  ///< its lower end
  double expected_error(double scale) const;

  std::array<uint64_t, kBins> counts_{};
};

}  // namespace carat
