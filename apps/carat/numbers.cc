#include "numbers.h"

#include <limits>
#include <string>

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

}  // namespace

CLI::Validator seed_number() { return whole_number(0, std::numeric_limits<uint64_t>::max()); }

CLI::Validator count_of_at_least(uint64_t least) { return whole_number(least, std::numeric_limits<int64_t>::max()); }

}  // namespace carat
