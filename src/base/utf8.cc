#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/check.h"

namespace carat {
namespace {

// The bytes that may follow a lead byte: the second one is restricted for some leads, the others are 80..BF.
struct Lead {
  size_t size;  // of the whole character; 0 for what is no lead byte
  uint8_t second_from = 0x80;
  uint8_t second_to = 0xBF;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2 || byte > 0xF4) return {0};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {4};
}

// White space as Python's str.strip sees it, which chat templates call.
constexpr std::array<std::string_view, 29> kWhiteSpace = {
    " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\x1C",   "\x1D",   "\x1E",   "\x1F",
    "\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

}  // namespace

Utf8Front utf8_front(std::string_view text) {
  CARAT_CHECK(!text.empty(), "the front of an empty text");
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const Lead lead = lead_of(byte(0));
  if (lead.size == 0) return {Utf8Front::Kind::kInvalid, 1};
  for (size_t at = 1; at < lead.size; ++at) {
    if (at == text.size()) return {Utf8Front::Kind::kIncomplete, at};
    const uint8_t from = at == 1 ? lead.second_from : 0x80;
    const uint8_t to = at == 1 ? lead.second_to : 0xBF;
    if (byte(at) < from || byte(at) > to) return {Utf8Front::Kind::kInvalid, at};
  }
  return {Utf8Front::Kind::kCharacter, lead.size};
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Front front = utf8_front(text);
    if (front.kind != Utf8Front::Kind::kCharacter) return false;
    text.remove_prefix(front.size);
  }
  return true;
}

std::string to_valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const Utf8Front front = utf8_front(text);
    valid += front.kind == Utf8Front::Kind::kCharacter ? text.substr(0, front.size) : kReplacementCharacter;
    text.remove_prefix(front.size);
  }
  return valid;
}

std::string take_whole_characters(std::string& waiting) {
  std::string text;
  std::string_view rest = waiting;
  while (!rest.empty()) {
    const Utf8Front front = utf8_front(rest);
    if (front.kind == Utf8Front::Kind::kIncomplete) break;
    text += front.kind == Utf8Front::Kind::kCharacter ? rest.substr(0, front.size) : kReplacementCharacter;
    rest.remove_prefix(front.size);
  }
  waiting.erase(0, waiting.size() - rest.size());
  return text;
}

char32_t code_point(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return first;
  char32_t value = first & (0xFFu >> (character.size() + 1));
  for (const char byte : character.substr(1)) value = value << 6 | (static_cast<unsigned char>(byte) & 0x3Fu);
  return value;
}

std::string_view trim_white_space(std::string_view text) {
  const auto at_front = [&](std::string_view space) { return text.starts_with(space); };
  const auto at_back = [&](std::string_view space) { return text.ends_with(space); };
  for (auto space = std::ranges::find_if(kWhiteSpace, at_front); space != kWhiteSpace.end();
       space = std::ranges::find_if(kWhiteSpace, at_front)) {
    text.remove_prefix(space->size());
  }
  for (auto space = std::ranges::find_if(kWhiteSpace, at_back); space != kWhiteSpace.end();
       space = std::ranges::find_if(kWhiteSpace, at_back)) {
    text.remove_suffix(space->size());
  }
  return text;
}

}  // namespace carat
