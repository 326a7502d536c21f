#include "eval/figure_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "eval/axis.h"

namespace carat {
namespace {

constexpr const char* kNoNumber = "–";
constexpr int kMostDecimals = 8;

std::string fixed(double value, int decimals) {
  char text[400];  // of the largest double
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

int power_of(double value) { return static_cast<int>(std::floor(std::log10(std::fabs(value)))); }

/// Decimals that show an error with one digit, or two where the first is a 1.
int decimals_of_error(double error) {
  const int power = power_of(error);
  const bool begins_with_one = error / std::pow(10.0, power) < 1.95;
  return std::clamp(-power + (begins_with_one ? 1 : 0), 0, kMostDecimals);
}

bool is_tiny(double value) { return value != 0.0 && std::fabs(value) < 1e-4; }

}  // namespace

std::string number_of_four_digits(double value) {
  if (!std::isfinite(value)) return kNoNumber;
  if (value == 0.0) return "0";
  if (is_tiny(value)) {
    const int power = power_of(value);
    return fixed(value * std::pow(10.0, -power), 1) + "·" + power_of_ten_text(power);
  }
  return fixed(value, std::clamp(3 - power_of(value), 0, kMostDecimals));
}

EstimateText estimate_text(const Estimate& estimate) {
  const auto [value, error] = estimate;
  if (!std::isfinite(value) || !std::isfinite(error) || error <= 0.0) return {number_of_four_digits(value), {}};
  const double largest = std::max(std::fabs(value), error);
  const int power = is_tiny(largest) ? power_of(largest) : 0;
  const double unit = std::pow(10.0, -power);
  const std::string times = power == 0 ? "" : "·" + power_of_ten_text(power);
  const int decimals = decimals_of_error(error * unit);
  return {fixed(value * unit, decimals) + times, fixed(error * unit, decimals) + times};
}

EstimateText percent_text(const Estimate& part) {
  const Estimate percent = {100.0 * part.value, 100.0 * part.standard_error};
  EstimateText text = estimate_text(percent);
  if (!std::isfinite(percent.value)) return text;
  text.value += " %";
  if (!text.error.empty()) text.error += " %";
  return text;
}

std::string joined(const EstimateText& text) {
  return text.error.empty() ? text.value : text.value + " ± " + text.error;
}

std::string size_text(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {" B", " kB", " MB", " GB", " TB"};
  if (bytes < 1000) return std::to_string(bytes) + kUnits[0];
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  // 999.5 would round to 1000.
  while (size >= 999.5 && unit + 1 < kUnits.size()) {
    size /= 1000.0;
    ++unit;
  }
  return fixed(size, size < 9.995 ? 2 : size < 99.95 ? 1 : 0) + kUnits[unit];
}

}  // namespace carat
