#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat {

inline constexpr size_t kMostStopStrings = 64;
inline constexpr size_t kLongestStopString = 1024;

/// Ends a stream of text in front of the first of several strings, wherever the text is cut into parts:
///
///     CARAT_TRY(StopStrings stop, StopStrings::create({"\n\n", "User:"}));
///     stop.append("Yes.\nUs");   // "Yes.\n"; "Us" may become "User:" and waits
///     stop.append("e it.");      // "Use it."
///     stop.append("\n\nUser");   // "", and found() is "\n\n"
///
/// The string that is complete first ends the text; of several that are complete with the same byte, the longest.
class StopStrings {
 public:
  /// Ends no text.
  StopStrings() = default;

  /// Refuses more than `kMostStopStrings`, an empty one, one longer than `kLongestStopString` bytes, and one that is no
  /// UTF-8.
  static Result<StopStrings> create(const std::vector<std::string>& strings);

  /// What of the text so far can be given out now and was not before; nothing once a string is found. Whole characters
  /// as long as `text` is.
  std::string append(std::string_view text);

  /// What still waits, for when no more text comes; then the stream is as new. Nothing when a string was found.
  std::string end();

  /// The string that ended the text; empty as long as none did.
  const std::string& found() const { return found_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<size_t> shorter;  // by matched length less 1: the longest shorter prefix that is a suffix of it
    size_t matched = 0;           // length of the prefix that the stream ends with
  };

  static Pattern pattern_of(const std::string& text);
  static void advance(Pattern& pattern, char next);
  size_t longest_match() const;
  const Pattern* longest_complete() const;

  std::vector<Pattern> patterns_;
  std::string waiting_;
  std::string found_;
};

}  // namespace carat
