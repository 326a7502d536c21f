#include "session/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "formats/quote.h"

namespace carat {

Result<StopStrings> StopStrings::create(const std::vector<std::string>& strings) {
  if (strings.size() > kMostStopStrings) {
    return wrong_usage("stop strings: expected at most " + std::to_string(kMostStopStrings) + ", found " +
                       std::to_string(strings.size()));
  }
  StopStrings stop;
  for (const std::string& text : strings) {
    if (text.empty() || text.size() > kLongestStopString) {
      return wrong_usage("stop string: expected 1 to " + std::to_string(kLongestStopString) + " bytes, found " +
                         std::to_string(text.size()));
    }
    if (to_valid_utf8(text) != text) return wrong_usage("stop string: expected UTF-8, found " + in_quotes(text));
    stop.patterns_.push_back(pattern_of(text));
  }
  return stop;
}

// The table of D. Knuth, J. Morris, V. Pratt, "Fast Pattern Matching in Strings", 1977.
StopStrings::Pattern StopStrings::pattern_of(const std::string& text) {
  Pattern pattern = {text, {0}, 0};
  for (size_t at = 1; at < text.size(); ++at) {
    advance(pattern, text[at]);
    pattern.shorter.push_back(pattern.matched);
  }
  pattern.matched = 0;
  return pattern;
}

void StopStrings::advance(Pattern& pattern, char next) {
  size_t& matched = pattern.matched;
  while (matched > 0 && pattern.text[matched] != next) matched = pattern.shorter[matched - 1];
  if (pattern.text[matched] == next) ++matched;
}

size_t StopStrings::longest_match() const {
  size_t longest = 0;
  for (const Pattern& pattern : patterns_) longest = std::max(longest, pattern.matched);
  return longest;
}

const StopStrings::Pattern* StopStrings::longest_complete() const {
  const Pattern* longest = nullptr;
  for (const Pattern& pattern : patterns_) {
    const bool complete = pattern.matched == pattern.text.size();
    if (complete && (longest == nullptr || pattern.text.size() > longest->text.size())) longest = &pattern;
  }
  return longest;
}

std::string StopStrings::append(std::string_view text) {
  if (!found_.empty()) return {};
  for (const char next : text) {
    waiting_ += next;
    for (Pattern& pattern : patterns_) advance(pattern, next);
    if (const Pattern* complete = longest_complete()) {
      found_ = complete->text;
      waiting_.resize(waiting_.size() - found_.size());
      return std::exchange(waiting_, {});
    }
  }
  const size_t given_out = waiting_.size() - longest_match();
  std::string given = waiting_.substr(0, given_out);
  waiting_.erase(0, given_out);
  return given;
}

std::string StopStrings::end() {
  for (Pattern& pattern : patterns_) pattern.matched = 0;
  found_.clear();
  return std::exchange(waiting_, {});
}

}  // namespace carat
