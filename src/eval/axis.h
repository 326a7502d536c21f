#pragma once

#include <string>
#include <utility>
#include <vector>

namespace carat {

/// A mark along an axis.
struct Tick {
  double value = 0;
  std::string label;
};

/// "0.001", "100", and beyond 1000 "10⁻⁴", in characters that need no markup.
std::string power_of_ten_text(int power);

/// A range of numbers along one side of a plot, with ticks at round numbers: 1, 2 or 5 times a power of ten. It begins
/// and ends at a tick. Magnitudes beyond 1e30, and on a logarithmic axis below 1e-30, lie at its ends.
class Axis {
 public:
  /// Holds all `values`, which are finite, with about `ticks` steps; one or two where all are the same.
  static Axis linear(const std::vector<double>& values, int ticks = 6);

  /// The same on a logarithmic scale, for positive values: whole powers of ten where the range is two of them or more,
  /// then 1, 2 and 5 times powers of ten, and the ticks of a linear axis where it is less than a factor of 4.
  static Axis logarithmic(const std::vector<double>& values);

  double first() const { return ticks_.front().value; }
  double last() const { return ticks_.back().value; }
  const std::vector<Tick>& ticks() const { return ticks_; }

  /// Where a value lies: 0 at the first tick, 1 at the last one; values beyond lie at the ends, and NaN at the first.
  double place(double value) const;

 private:
  Axis(bool is_logarithmic, std::vector<Tick> ticks) : logarithmic_(is_logarithmic), ticks_(std::move(ticks)) {}

  bool logarithmic_;
  std::vector<Tick> ticks_;  // at least two, rising
};

}  // namespace carat
