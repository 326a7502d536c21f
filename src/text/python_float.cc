#include "text/python_float.h"

#include <charconv>
#include <cmath>

namespace carat {

std::string python_float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  const double size = std::abs(number);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  char digits[32];
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const std::string text(digits, std::to_chars(digits, digits + sizeof(digits), number, format).ptr);
  return scientific || text.find('.') != std::string::npos ? text : text + ".0";
}

}  // namespace carat
