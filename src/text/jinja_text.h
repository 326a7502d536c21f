#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_limits.h"

/// Strings as Python sees them: sequences of characters (code points). Every text here is valid UTF-8.
namespace carat::jinja {

/// A text that grows to kMaxTextBytes and no further.
class BoundedText {
 public:
  void append(std::string_view part) {
    if (part.size() > kMaxTextBytes - text_.size()) {
      overflowed_ = true;
    } else if (!overflowed_) {
      text_ += part;
    }
  }
  bool overflowed() const { return overflowed_; }
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  bool overflowed_ = false;
};

/// Takes the first character from `text`, which must not be empty.
char32_t take_character(std::string_view& text);
/// `character` must be a Unicode scalar value.
std::string encode_character(char32_t character);
size_t count_characters(std::string_view text);
/// One view for each character.
std::vector<std::string_view> split_characters(std::string_view text);

/// White space as Python's `str.isspace` has it: Unicode's and the four separators U+001C to U+001F.
bool is_space(char32_t character);
/// Bytes of white space at the front of `text`.
size_t leading_space(std::string_view text);

bool is_ascii(std::string_view text);
/// The first letter upper, the others lower, of ASCII letters.
std::string capitalized(std::string_view text);

enum class Ends { kLeft, kRight, kBoth };
/// Without the white space at `ends`.
std::string_view strip(std::string_view text, Ends ends);
/// Without the characters that are in `set` at `ends`.
std::string_view strip(std::string_view text, Ends ends, std::string_view set);

/// `str.split()`: at runs of white space, at most `limit` times (negative: always), without empty parts.
std::vector<std::string_view> split_at_space(std::string_view text, int64_t limit);
/// `str.split(separator)`: at most `limit` times (negative: always). `separator` must not be empty.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t limit);
/// `str.rsplit(separator)`: the same, counted from the end.
std::vector<std::string_view> split_from_end(std::string_view text, std::string_view separator, int64_t limit);
/// `str.splitlines()`.
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace carat::jinja
