#include "eval/markup.h"

#include "base/utf8.h"

namespace carat {
namespace {

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c & 0xfffe) == 0xfffe; }

std::string escaped_character(std::string_view character) {
  if (character == "&") return "&amp;";
  if (character == "<") return "&lt;";
  if (character == ">") return "&gt;";
  if (character == "\"") return "&quot;";
  if (character == "'") return "&#39;";
  return std::string(is_control(code_point(character)) ? kReplacementCharacter : character);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  const std::string valid = to_valid_utf8(text);
  for (std::string_view rest = valid; !rest.empty();) {
    const size_t size = utf8_front(rest).size;
    out += escaped_character(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return out;
}

}  // namespace carat
