#include "eval/axis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace carat {
namespace {

constexpr int kMostPowerTicks = 12;

// Magnitudes that an axis shows.
constexpr double kNearest = 1e-30;
constexpr double kFarthest = 1e30;

/// 1, 2, 5, 10, 20, 50, ...: the number at this place of the row, which goes on to both sides of 1.
double round_number(int place) {
  constexpr std::array<double, 3> kSteps = {1.0, 2.0, 5.0};
  const int power = place >= 0 ? place / 3 : -((2 - place) / 3);
  // A power of ten below 1 is no float, its reciprocal is: so 2e-3 is the float nearest to 0.002.
  const double step = kSteps[static_cast<size_t>(place - 3 * power)];
  return power >= 0 ? step * std::pow(10.0, power) : step / std::pow(10.0, -power);
}

/// The place of the largest round number that is not above a positive one, `slack` of it allowed for rounding errors.
int place_below(double number) {
  constexpr double kSlack = 1.0 + 1e-9;
  int place = 3 * static_cast<int>(std::floor(std::log10(number))) + 3;
  while (round_number(place) > number * kSlack) --place;
  return place;
}

int place_above(double number) {
  const int below = place_below(number);
  return round_number(below) * (1.0 + 1e-9) >= number ? below : below + 1;
}

std::string plain_text(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.10g", value);
  return text;
}

std::string superscript(int number) {
  constexpr std::array<std::string_view, 10> kDigits = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = number < 0 ? "⁻" : "";
  for (const char digit : std::to_string(std::abs(number))) text += kDigits[static_cast<size_t>(digit - '0')];
  return text;
}

std::string tick_text(double value) {
  const double magnitude = std::fabs(value);
  if (magnitude == 0.0 || (magnitude > 0.99e-4 && magnitude < 1e6)) return plain_text(value);
  const int power = static_cast<int>(std::floor(std::log10(magnitude) + 1e-9));
  const std::string mantissa = plain_text(std::round(value / std::pow(10.0, power) * 1e6) / 1e6);
  return mantissa == "1" ? power_of_ten_text(power) : mantissa + "·" + power_of_ten_text(power);
}

std::vector<Tick> power_ticks(int first, int last) {
  const int every = (last - first + kMostPowerTicks - 1) / kMostPowerTicks;
  std::vector<Tick> ticks;
  for (int power = first; power < last + every; power += every) {
    ticks.push_back({std::pow(10.0, power), power_of_ten_text(power)});
  }
  return ticks;
}

std::vector<Tick> round_ticks(double low, double high, double step) {
  const double first = std::floor(low / step + 1e-9);
  const double last = std::max(std::ceil(high / step - 1e-9), first + 1.0);
  std::vector<Tick> ticks;
  for (double i = first; i <= last; ++i) ticks.push_back({i * step, tick_text(i * step)});
  return ticks;
}

struct Ends {
  double low;
  double high;
};

Ends ends(const std::vector<double>& values, double without, double least, double most) {
  if (values.empty()) return {without, without};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  CARAT_CHECK(std::isfinite(*low) && std::isfinite(*high), "the values of an axis are finite");
  return {std::clamp(*low, least, most), std::clamp(*high, least, most)};
}

}  // namespace

std::string power_of_ten_text(int power) {
  if (power >= -3 && power <= 3) return plain_text(std::pow(10.0, power));
  return "10" + superscript(power);
}

Axis Axis::linear(const std::vector<double>& values, int ticks) {
  CARAT_CHECK(ticks >= 2, "an axis has two ends");
  const auto [low, high] = ends(values, 0.0, -kFarthest, kFarthest);
  const double largest = std::max(std::fabs(low), std::fabs(high));
  // A range that floats hardly resolve counts as none.
  const bool is_range = high - low > std::max(largest * 1e-6, kNearest);
  const double extent = is_range ? high - low : largest;
  const double step = extent >= kNearest ? round_number(place_above(extent / ticks)) : 1.0;
  return Axis(false, round_ticks(low, high, step));
}

Axis Axis::logarithmic(const std::vector<double>& values) {
  const auto [low, high] = ends(values, 1.0, kNearest, kFarthest);
  if (high / low >= 100.0) {
    const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
    return Axis(true, power_ticks(first, static_cast<int>(std::ceil(std::log10(high) - 1e-9))));
  }
  // Between numbers this close the ticks of a linear axis are positive, and there are more of them.
  if (high / low < 4.0) return Axis(true, linear({low, high}).ticks_);
  std::vector<Tick> marks;
  for (int place = place_below(low); place <= place_above(high); ++place) {
    marks.push_back({round_number(place), tick_text(round_number(place))});
  }
  return Axis(true, std::move(marks));
}

double Axis::place(double value) const {
  if (std::isnan(value) || (logarithmic_ && value <= 0.0)) return 0.0;
  const auto measure = [this](double number) { return logarithmic_ ? std::log(number) : number; };
  const double from = measure(first());
  return std::clamp((measure(value) - from) / (measure(last()) - from), 0.0, 1.0);
}

}  // namespace carat
