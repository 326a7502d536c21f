#pragma once

#include <string>
#include <string_view>

namespace carat {

/// Breaks text that comes in parts into rows between words, so that it is known how many rows it takes on a terminal
/// and they can be taken away again. White space at both ends of the text is left out.
class WrappedText {
 public:
  /// Rows take at most `columns` columns, but one character is always written. `use_utf8_locale` was called.
  explicit WrappedText(int columns) : columns_(columns) {}

  /// What can be written now; a word waits for its end. `text` is valid UTF-8 without control characters but newline
  /// and tab.
  std::string append(std::string_view text);

  /// The last word, and the newline behind it if there was any text.
  std::string end();

  /// Newlines given out so far.
  int rows() const { return rows_; }

 private:
  void add_character(std::string_view character, std::string& out);
  void flush_word(std::string& out);
  void break_row(std::string& out);

  int columns_;
  int rows_ = 0;
  bool started_ = false;
  int column_ = 0;
  int newlines_ = 0;  // these and the spaces behind them come before the word
  int spaces_ = 0;
  std::string word_;
  int word_width_ = 0;
};

}  // namespace carat
