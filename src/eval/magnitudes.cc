#include "eval/magnitudes.h"

#include <bit>
#include <cmath>

namespace carat {
namespace {

constexpr size_t kBinsOfDoubling = 16;
constexpr size_t kCandidates = 8 * kBinsOfDoubling + 1;

double squared_error(double x, double scale) {
  if (x < scale / 2) return x * x;
  if (x <= 127.5 * scale) return scale * scale / 12;
  return (x - 127 * scale) * (x - 127 * scale);
}

}  // namespace

void Magnitudes::add(std::span<const float> values) {
  for (const float value : values) {
    const size_t bin = (std::bit_cast<uint32_t>(value) & 0x7fffffffu) >> kShift;
    if (bin < kBins) ++counts_[bin];
  }
}

double Magnitudes::edge(size_t bin) {
  // The end of the last bin is infinity.
  if (bin >= kBins) return std::ldexp(1.0, 128);
  return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bin) << kShift));
}

double Magnitudes::expected_error(double scale) const {
  double sum = 0;
  for (size_t bin = 0; bin < kBins; ++bin) {
    if (counts_[bin] == 0) continue;
    sum += static_cast<double>(counts_[bin]) * squared_error((edge(bin) + edge(bin + 1)) / 2, scale);
  }
  return sum;
}

float Magnitudes::best_scale() const {
  size_t highest = kBins;
  while (highest > 0 && counts_[highest - 1] == 0) --highest;
  // The lowest bin is that of zero.
  if (highest <= 1) return 1.0f;
  double best = HUGE_VAL;
  float best_scale = 1.0f;
  for (size_t i = 0; i < kCandidates && i < highest; ++i) {
    const auto scale = static_cast<float>(edge(highest - i) / 127.5);
    if (!(scale > 0.0f) || !std::isfinite(scale)) continue;
    const double error = expected_error(static_cast<double>(scale));
    if (error >= best) continue;
    best = error;
    best_scale = scale;
  }
  return best_scale;
}

}  // namespace carat
