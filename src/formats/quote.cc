#include "formats/quote.h"

#include <array>
#include <cstdio>

namespace carat {
namespace {

constexpr size_t kShownBytes = 80;
constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (const char letter : text.substr(0, kShownBytes)) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte >= 0x20 && byte < 0x7f) {
      shown += letter;
    } else {
      shown += {'\\', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15]};
    }
  }
  if (text.size() > kShownBytes) shown += "...";
  return shown;
}

bool is_printable(std::string_view text) { return printable(text) == text; }

std::string in_quotes(std::string_view text) { return '"' + printable(text) + '"'; }

std::string number_text(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", number);
  return text.data();
}

}  // namespace carat
