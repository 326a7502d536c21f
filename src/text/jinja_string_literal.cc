#include "text/jinja_string_literal.h"

#include <algorithm>

#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return 16;
}

// Takes up to `most` digits of `base` from the front.
char32_t take_digits(std::string_view& text, int base, size_t most, size_t& taken) {
  char32_t number = 0;
  for (taken = 0; taken < most && !text.empty() && digit_value(text[0]) < base; ++taken) {
    number = number * static_cast<char32_t>(base) + static_cast<char32_t>(digit_value(text[0]));
    text.remove_prefix(1);
  }
  return number;
}

Result<std::string> take_coded(std::string_view& text, int base, size_t digits, bool exactly) {
  size_t taken = 0;
  const char32_t character = take_digits(text, base, digits, taken);
  if (exactly && taken < digits) return refused("found an escape in a string that is cut short");
  if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) {
    return refused("found an escape in a string that names no character");
  }
  return encode_character(character);
}

// `text` begins behind the backslash and is not empty.
Result<std::string> take_escape(std::string_view& text) {
  const char letter = text[0];
  if (letter >= '0' && letter <= '7') return take_coded(text, 8, 3, false);
  text.remove_prefix(1);
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  if (const size_t found = kLetters.find(letter); found != std::string_view::npos)
    return std::string(1, kMeanings[found]);
  switch (letter) {
    case '\n':
      return std::string();
    case 'x':
      return take_coded(text, 16, 2, true);
    case 'u':
      return take_coded(text, 16, 4, true);
    case 'U':
      return take_coded(text, 16, 8, true);
    case 'N':
      return refused("found a character by name in a string, expected \\uXXXX");
    default:
      return std::string{'\\', letter};
  }
}

}  // namespace

Result<std::string> string_literal(std::string_view body) {
  std::string value;
  while (!body.empty()) {
    const size_t plain = std::min(body.find('\\'), body.size());
    value += body.substr(0, plain);
    body.remove_prefix(plain);
    if (body.size() < 2) break;
    body.remove_prefix(1);
    CARAT_TRY(const std::string character, take_escape(body));
    value += character;
  }
  return value;
}

}  // namespace carat::jinja
