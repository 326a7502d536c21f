#include "numbers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/ascii.h"
#include "formats/quote.h"

namespace carat {
namespace {

CLI::Validator whole_number(uint64_t least, uint64_t most) {
  const auto check = [least, most](const std::string& text) {
    uint64_t number = 0;
    if (parse_number(text, number) && number >= least && number <= most) return std::string();
    return "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ", found " +
           in_quotes(text);
  };
  return CLI::Validator(check, "");
}

/// The factor of a unit in lower case: "", "b", "m", "mb", "mib"; 0 for what is none.
uint64_t unit_factor(std::string_view unit) {
  if (unit.empty() || unit == "b") return 1;
  constexpr std::string_view kPrefixes = "kmgt";
  const size_t power = kPrefixes.find(unit.front());
  if (power == std::string_view::npos) return 0;
  unit.remove_prefix(1);
  const bool binary = unit == "ib" || unit == "i";
  if (!binary && !unit.empty() && unit != "b") return 0;
  uint64_t factor = 1;
  for (size_t i = 0; i <= power; ++i) factor *= binary ? 1024 : 1000;
  return factor;
}

}  // namespace

CLI::Validator seed_number() { return whole_number(0, std::numeric_limits<uint64_t>::max()); }

CLI::Validator count_of_at_least(uint64_t least) { return whole_number(least, std::numeric_limits<int64_t>::max()); }

std::optional<uint64_t> parse_size(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, digits);
  std::string unit = to_lower(text.substr(digits));
  unit.erase(0, unit.find_first_not_of(' '));
  const uint64_t factor = unit_factor(unit);
  double value = 0;
  if (factor == 0 || !parse_number(number, value)) return std::nullopt;
  // All whole numbers of bytes up to 2^53 are exact.
  const double bytes = std::floor(value * static_cast<double>(factor));
  if (!(bytes >= 1) || bytes >= 0x1p63) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

CLI::Validator size_in_bytes() {
  const auto make_plain = [](std::string& text) {
    const std::optional<uint64_t> bytes = parse_size(text);
    if (!bytes) return "expected a size such as 950M, 1.5GiB or 1073741824, found " + in_quotes(text);
    text = std::to_string(*bytes);
    return std::string();
  };
  return CLI::Validator(make_plain, "");
}

}  // namespace carat
