#include "figures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace carat {
namespace {

template <typename... Arguments>
std::string print(const char* format, Arguments... arguments) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, arguments...);
  return text.data();
}

}  // namespace

std::string bytes_text(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + " B";
  constexpr std::array<const char*, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  // What would print as 1000 is 1.00 of the next unit.
  while (value >= 999.5) {
    value /= 1000;
    ++unit;
  }
  return rate_text(value) + " " + kUnits[unit];
}

std::string count_text(int64_t count) {
  std::string digits = std::to_string(count);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string duration_text(double seconds) {
  // Beyond a thousand hours only the size matters, and the conversion stays defined.
  const auto whole = static_cast<int64_t>(std::lround(std::clamp(seconds, 0.0, 3.6e6)));
  const int minutes = static_cast<int>(whole / 60);
  if (minutes == 0) return print("%d s", static_cast<int>(whole));
  if (minutes < 60) return print("%d min %02d s", minutes, static_cast<int>(whole % 60));
  return print("%d h %02d min", minutes / 60, minutes % 60);
}

std::string rate_text(double value) {
  if (!std::isfinite(value) || value <= 0) return "0";
  const int digits_before = static_cast<int>(std::floor(std::log10(value))) + 1;
  return print("%.*f", std::clamp(3 - digits_before, 0, 9), value);
}

}  // namespace carat
