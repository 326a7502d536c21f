#include "wrapped_text.h"

#include <utility>

#include "base/utf8.h"
#include "terminal.h"

namespace carat {
namespace {

constexpr int kTabSpaces = 4;

}  // namespace

std::string WrappedText::append(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, utf8_front(text).size);
    text.remove_prefix(character.size());
    add_character(character, out);
  }
  return out;
}

std::string WrappedText::end() {
  std::string out;
  flush_word(out);
  if (column_ > 0) break_row(out);
  return out;
}

void WrappedText::add_character(std::string_view character, std::string& out) {
  const bool newline = character == "\n";
  if (!newline && character != " " && character != "\t") {
    const int width = display_width(character);
    if (word_width_ + width > columns_) flush_word(out);
    word_ += character;
    word_width_ += width;
    return;
  }
  flush_word(out);
  newlines_ += newline ? 1 : 0;
  spaces_ = newline ? 0 : spaces_ + (character == " " ? 1 : kTabSpaces);
}

void WrappedText::flush_word(std::string& out) {
  if (word_.empty()) return;
  for (int i = 0; started_ && i < newlines_; ++i) break_row(out);
  if (column_ + spaces_ + word_width_ <= columns_) {
    if (started_) {
      out.append(static_cast<size_t>(spaces_), ' ');
      column_ += spaces_;
    }
  } else if (column_ > 0) {
    break_row(out);
  }
  out += word_;
  column_ += word_width_;
  started_ = true;
  newlines_ = spaces_ = word_width_ = 0;
  word_.clear();
}

void WrappedText::break_row(std::string& out) {
  out += '\n';
  ++rows_;
  column_ = 0;
}

}  // namespace carat
