#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace carat {

/// U+FFFD, which stands where bytes were no character.
inline constexpr std::string_view kReplacementCharacter = "\uFFFD";

/// What the first bytes of a text are.
struct Utf8Front {
  enum class Kind {
    kCharacter,   ///< a well-formed character
    kIncomplete,  ///< the text ends within a character that is well-formed so far
    kInvalid,     ///< no character can begin like this
  };
  Kind kind;
  /// Bytes of the character; or of the longest part that could have begun one (at least one byte), which
  /// Unicode's practice replaces by a single U+FFFD.
  size_t size;
};

/// Looks at the front of `text`, which must not be empty. Surrogates, overlong forms and values above U+10FFFF
/// are no characters.
Utf8Front utf8_front(std::string_view text);

bool is_valid_utf8(std::string_view text);

/// `text` with each maximal invalid part, a cut character at the end too, replaced by U+FFFD. Valid text comes
/// back unchanged.
std::string to_valid_utf8(std::string_view text);

/// Takes the whole characters from the front of `waiting`, with U+FFFD for what is none. The start of a character that
/// more bytes could complete stays.
std::string take_whole_characters(std::string& waiting);

/// The Unicode scalar value of one well-formed character.
char32_t code_point(std::string_view character);

/// `text` without the Unicode white space at both ends. `text` must be valid.
std::string_view trim_white_space(std::string_view text);

}  // namespace carat
