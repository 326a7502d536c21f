#include "text/jinja_text.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"

namespace carat::jinja {
namespace {

size_t character_size(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

std::string_view last_character(std::string_view text) {
  size_t start = text.size() - 1;
  while ((static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return text.substr(start);
}

char32_t decoded(std::string_view text) { return code_point(text.substr(0, character_size(text[0]))); }

template <typename Strips>
std::string_view strip_while(std::string_view text, Ends ends, const Strips& strips) {
  while (ends != Ends::kRight && !text.empty()) {
    const std::string_view character = text.substr(0, character_size(text[0]));
    if (!strips(character)) break;
    text.remove_prefix(character.size());
  }
  while (ends != Ends::kLeft && !text.empty()) {
    const std::string_view character = last_character(text);
    if (!strips(character)) break;
    text.remove_suffix(character.size());
  }
  return text;
}

bool ends_line(char32_t character) {
  return (character >= 0x0A && character <= 0x0D) || (character >= 0x1C && character <= 0x1E) || character == 0x85 ||
         character == 0x2028 || character == 0x2029;
}

}  // namespace

char32_t take_character(std::string_view& text) {
  const std::string_view character = text.substr(0, character_size(text[0]));
  text.remove_prefix(character.size());
  return code_point(character);
}

std::string encode_character(char32_t character) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (character >> shift & 0x3F)); };
  if (character < 0x80) return {static_cast<char>(character)};
  if (character < 0x800) return {static_cast<char>(0xC0 | character >> 6), tail(0)};
  if (character < 0x10000) return {static_cast<char>(0xE0 | character >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | character >> 18), tail(12), tail(6), tail(0)};
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

std::vector<std::string_view> split_characters(std::string_view text) {
  std::vector<std::string_view> characters;
  characters.reserve(count_characters(text));
  for (size_t at = 0; at < text.size(); at += characters.back().size()) {
    characters.push_back(text.substr(at, character_size(text[at])));
  }
  return characters;
}

bool is_space(char32_t character) {
  return (character >= 0x09 && character <= 0x0D) || (character >= 0x1C && character <= 0x20) || character == 0x85 ||
         character == 0xA0 || character == 0x1680 || (character >= 0x2000 && character <= 0x200A) ||
         character == 0x2028 || character == 0x2029 || character == 0x202F || character == 0x205F ||
         character == 0x3000;
}

size_t leading_space(std::string_view text) { return text.size() - strip(text, Ends::kLeft).size(); }

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char byte) { return static_cast<unsigned char>(byte) < 0x80; });
}

std::string capitalized(std::string_view text) {
  std::string changed = to_lower(text);
  if (!changed.empty()) changed[0] = to_upper(changed[0]);
  return changed;
}

std::string_view strip(std::string_view text, Ends ends) {
  return strip_while(text, ends, [](std::string_view character) { return is_space(decoded(character)); });
}

std::string_view strip(std::string_view text, Ends ends, std::string_view set) {
  return strip_while(text, ends,
                     [&](std::string_view character) { return set.find(character) != std::string_view::npos; });
}

std::vector<std::string_view> split_at_space(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, Ends::kLeft);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    size_t size = 0;
    while (size < text.size() && !is_space(decoded(text.substr(size)))) size += character_size(text[size]);
    parts.push_back(text.substr(0, size));
    text = strip(text.substr(size), Ends::kLeft);
  }
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t limit) {
  std::vector<std::string_view> parts;
  size_t found;
  while ((limit < 0 || static_cast<int64_t>(parts.size()) < limit) &&
         (found = text.find(separator)) != std::string_view::npos) {
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_from_end(std::string_view text, std::string_view separator, int64_t limit) {
  std::vector<std::string_view> parts;
  size_t found;
  while ((limit < 0 || static_cast<int64_t>(parts.size()) < limit) &&
         (found = text.rfind(separator)) != std::string_view::npos) {
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    size_t size = 0;
    while (size < text.size() && !ends_line(decoded(text.substr(size)))) size += character_size(text[size]);
    lines.push_back(text.substr(0, size));
    const size_t end = size == text.size() ? 0 : text.substr(size).starts_with("\r\n") ? 2 : character_size(text[size]);
    text.remove_prefix(size + end);
  }
  return lines;
}

}  // namespace carat::jinja
