#include "lattice/search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "lattice/codes.h"

namespace carat {
namespace {

// Sums run in lanes of float, in an order that does not depend on the machine, and are gathered in double before they
// grow too long.
constexpr size_t kLanes = 16;
constexpr size_t kRun = 4096;
constexpr int kSteps = 36;
constexpr int kMostRefinements = 8;

using Lanes = std::array<float, kLanes>;

double total(const Lanes& lanes) {
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

/// In units of the scale: with v = x / scale, c the code of x and d = v - c.
struct Sums {
  double distance = 0;  // sum of d d
  double slope = 0;     // sum of c d
  double codes = 0;     // sum of c c

  /// What least squares multiplies the scale by.
  double factor() const { return codes > 0 ? 1.0 + slope / codes : 1.0; }
  /// `distance` after that, in units of the scale before it.
  double refined_distance() const { return codes > 0 ? distance - slope * slope / codes : distance; }
};

struct LaneSums {
  Lanes distance{}, slope{}, codes{};

  void add(const float* values, float scale, float lowest, float highest) {
    // Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, in every instruction set.
    constexpr float kRounding = 12582912.0f;
    for (size_t j = 0; j < kLanes; ++j) {
      const float v = values[j] / scale;
      const float rounded = (v + kRounding) - kRounding;
      const float low = rounded < lowest ? lowest : rounded;
      const float c = low > highest ? highest : low;
      const float d = v - c;
      distance[j] += d * d;
      slope[j] += c * d;
      codes[j] += c * c;
    }
  }
};

Sums sums_at(std::span<const float> values, float scale, CodeRange range) {
  const auto lowest = static_cast<float>(range.lowest);
  const auto highest = static_cast<float>(range.highest);
  Sums sums;
  for (size_t begin = 0; begin < values.size(); begin += kRun) {
    const std::span<const float> run = values.subspan(begin, std::min(kRun, values.size() - begin));
    LaneSums lanes;
    const size_t whole = run.size() / kLanes * kLanes;
    for (size_t i = 0; i < whole; i += kLanes) lanes.add(run.data() + i, scale, lowest, highest);
    if (whole < run.size()) {
      Lanes rest{};
      std::copy(run.begin() + static_cast<std::ptrdiff_t>(whole), run.end(), rest.begin());
      lanes.add(rest.data(), scale, lowest, highest);
    }
    sums.distance += total(lanes.distance);
    sums.slope += total(lanes.slope);
    sums.codes += total(lanes.codes);
  }
  return sums;
}

/// The best scale so far.
class Search {
 public:
  Search(int bits, std::span<const float> values) : range_(code_range(bits)), values_(values) {}

  /// Takes the scale that `candidate`, 0 included, is refined to when it is better than what there was.
  bool consider(float candidate) {
    if (!(candidate > 0.0f)) return false;
    const Sums sums = sums_at(values_, candidate, range_);
    const double unit = static_cast<double>(candidate) * candidate;
    const auto refined = static_cast<float>(candidate * sums.factor());
    const double error = unit * sums.refined_distance();
    if (error >= error_ || !(refined > 0.0f)) return false;
    error_ = error;
    scale_ = refined;
    return true;
  }

  double error_with(float scale) const {
    return static_cast<double>(scale) * scale * sums_at(values_, scale, range_).distance;
  }

  float scale() const { return scale_; }
  bool exact() const { return error_ == 0.0; }

 private:
  CodeRange range_;
  std::span<const float> values_;
  double error_ = HUGE_VAL;
  float scale_ = 0.0f;
};

float largest_magnitude(std::span<const float> values) {
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

/// Whether every value is a code times `scale`, rounded to float32.
bool on_lattice(std::span<const float> values, float scale, CodeRange range) {
  const auto lowest = static_cast<float>(range.lowest);
  const auto highest = static_cast<float>(range.highest);
  return std::ranges::all_of(
      values, [&](float value) { return std::clamp(std::nearbyint(value / scale), lowest, highest) * scale == value; });
}

/// The scale of the lattice that the values lie on, when their largest magnitude has its lowest or its highest code.
std::optional<float> lattice_scale(std::span<const float> values, float largest, CodeRange range) {
  for (const int code : {-range.lowest, range.highest}) {
    // That magnitude was rounded, so that its quotient may be a last bit off.
    const float quotient = largest / static_cast<float>(code);
    for (const float scale : {quotient, std::nextafter(quotient, 0.0f), std::nextafter(quotient, HUGE_VALF)}) {
      if (scale > 0.0f && on_lattice(values, scale, range)) return scale;
    }
  }
  return std::nullopt;
}

}  // namespace

float searched_scale(int bits, std::span<const float> values) {
  const float min_max = min_max_scale(bits, values);
  const float largest = largest_magnitude(values);
  if (largest == 0.0f) return min_max;
  const CodeRange range = code_range(bits);
  if (const auto scale = lattice_scale(values, largest, range)) return *scale;
  Search search(bits, values);
  search.consider(largest / static_cast<float>(-range.lowest));
  if (!search.exact()) search.consider(min_max);
  for (int k = 0; k < kSteps && !search.exact(); ++k) {
    search.consider(largest / static_cast<float>(range.highest) * static_cast<float>(std::exp2(-k / 8.0)));
  }
  for (int i = 0; i < kMostRefinements && !search.exact() && search.consider(search.scale()); ++i) continue;
  // Rounding the scale to float32 moves a row that min-max happens to meet exactly.
  return search.scale() > 0.0f && search.error_with(search.scale()) <= search.error_with(min_max) ? search.scale()
                                                                                                  : min_max;
}

}  // namespace carat
