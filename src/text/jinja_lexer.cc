#include "text/jinja_lexer.h"

#include <algorithm>
#include <charconv>

#include "text/jinja_format.h"
#include "text/jinja_string_literal.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }
bool starts_name(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || letter == '_';
}
bool continues_name(char letter) { return starts_name(letter) || is_digit(letter); }

// All line ends become \n, and one at the end is dropped.
std::string normalized(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      result += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      result += '\n';
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < text_.size()) CARAT_TRY_STATUS(read_text_and_tag());
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  Error error(const std::string& message) const { return error_at(source_, line_, message); }
  void add(TokenKind kind, std::string_view text) { tokens_.push_back({kind, line_, std::string(text)}); }

  void advance(size_t size) {
    line_ += static_cast<int>(std::ranges::count(rest().substr(0, size), '\n'));
    at_ += size;
  }
  void skip_space() { advance(leading_space(rest())); }

  // The `-` or `+` that stands there, or 0.
  char sign_at(size_t at) const {
    return at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at] : '\0';
  }

  size_t find_tag() const {
    for (size_t at = text_.find('{', at_); at != std::string_view::npos; at = text_.find('{', at + 1)) {
      if (at + 1 < text_.size() && std::string_view("%{#").find(text_[at + 1]) != std::string_view::npos) return at;
    }
    return text_.size();
  }

  Status read_text_and_tag() {
    const size_t start = at_;
    const size_t tag = find_tag();
    if (tag == text_.size()) {
      add_text(rest());
      advance(rest().size());
      return success();
    }
    const char sign = sign_at(tag + 2);
    add_text(without_space(start, tag, sign, text_[tag + 1] != '{'));
    advance(tag + 2 + (sign ? 1 : 0) - start);
    if (text_[tag + 1] == '#') return skip_comment();
    if (text_[tag + 1] == '{') return read_tag(TokenKind::kOutputOpen, TokenKind::kOutputClose, "}}");
    return opens_raw() ? read_raw() : read_tag(TokenKind::kBlockOpen, TokenKind::kBlockClose, "%}");
  }

  void add_text(std::string_view text) {
    if (!text.empty()) add(TokenKind::kText, text);
  }

  // The text from `start` to `end`, where a tag with `sign` begins.
  std::string_view without_space(size_t start, size_t end, char sign, bool block) const {
    const std::string_view text = text_.substr(start, end - start);
    if (sign == '-') return strip(text, Ends::kRight);
    if (sign == '+' || !block) return text;
    const size_t line_start = text.rfind('\n') + 1;
    const bool begins_line = line_start > 0 || start == 0 || text_[start - 1] == '\n';
    const bool blank = strip(text.substr(line_start), Ends::kLeft).empty();
    return begins_line && blank ? text.substr(0, line_start) : text;
  }

  // Behind the closing of a block or a comment.
  void trim_after(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+') {
      advance(rest().starts_with('\n') ? 1 : 0);
    }
  }

  Status skip_comment() {
    const size_t end = text_.find("#}", at_);
    if (end == std::string_view::npos) return error("found a comment without end, expected \"#}\"");
    const char sign = end > at_ ? text_[end - 1] : '\0';
    advance(end + 2 - at_);
    trim_after(sign);
    return success();
  }

  // Whether `raw %}` stands here.
  bool opens_raw() const {
    std::string_view tag = strip(rest(), Ends::kLeft);
    if (!tag.starts_with("raw")) return false;
    tag = strip(tag.substr(3), Ends::kLeft);
    return tag.starts_with("%}") || tag.starts_with("-%}");
  }

  Status read_raw() {
    const size_t close = text_.find("%}", at_);
    const bool trims = text_[close - 1] == '-';
    advance(close + 2 - at_);
    if (trims) skip_space();
    const size_t start = at_;
    for (size_t tag = text_.find("{%", at_); tag != std::string_view::npos; tag = text_.find("{%", tag + 1)) {
      size_t at = tag + 2;
      const char sign = sign_at(at);
      at += sign ? 1 : 0;
      at += leading_space(text_.substr(at));
      if (!text_.substr(at).starts_with("endraw")) continue;
      at += 6;
      at += leading_space(text_.substr(at));
      const char end_sign = sign_at(at);
      at += end_sign ? 1 : 0;
      if (!text_.substr(at).starts_with("%}")) continue;
      add_text(without_space(start, tag, sign, true));
      advance(at + 2 - at_);
      trim_after(end_sign);
      return success();
    }
    return error("found a raw block without end, expected \"{% endraw %}\"");
  }

  // Whether the tag ends here; then it is consumed.
  bool take_close(TokenKind kind, std::string_view close) {
    const char sign =
        rest().starts_with('-') || (kind == TokenKind::kBlockClose && rest().starts_with('+')) ? rest()[0] : '\0';
    if (!rest().substr(sign ? 1 : 0).starts_with(close)) return false;
    add(kind, close);
    advance(close.size() + (sign ? 1 : 0));
    if (kind == TokenKind::kBlockClose || sign == '-') trim_after(sign);
    return true;
  }

  Status read_tag(TokenKind open, TokenKind close, std::string_view close_text) {
    add(open, open == TokenKind::kOutputOpen ? "{{" : "{%");
    brackets_.clear();
    while (true) {
      if (brackets_.empty() && take_close(close, close_text)) return success();
      skip_space();
      if (brackets_.empty() && take_close(close, close_text)) return success();
      if (at_ == text_.size()) return success();
      CARAT_TRY_STATUS(read_token());
    }
  }

  Status read_token() {
    const char letter = rest()[0];
    if (is_digit(letter)) return read_number();
    if (letter == '\'' || letter == '"') return read_string();
    if (starts_name(letter)) {
      size_t size = 1;
      while (size < rest().size() && continues_name(rest()[size])) ++size;
      add(TokenKind::kName, rest().substr(0, size));
      advance(size);
      return success();
    }
    return read_operator();
  }

  // Digits with single underscores between them; 0 if there is none.
  size_t digits(size_t from) const {
    const std::string_view text = rest();
    size_t size = from;
    while (size < text.size() &&
           (is_digit(text[size]) || (text[size] == '_' && size > from && is_digit(text[size - 1]) &&
                                     size + 1 < text.size() && is_digit(text[size + 1])))) {
      ++size;
    }
    return size - from;
  }

  size_t fraction(size_t from) const {
    const size_t size = rest().substr(from).starts_with('.') ? digits(from + 1) : 0;
    return size ? size + 1 : 0;
  }

  size_t exponent(size_t from) const {
    const std::string_view text = rest().substr(from);
    if (!text.starts_with('e') && !text.starts_with('E')) return 0;
    const size_t sign = text.size() > 1 && (text[1] == '+' || text[1] == '-') ? 1 : 0;
    const size_t size = digits(from + 1 + sign);
    return size ? 1 + sign + size : 0;
  }

  Status read_number() {
    const bool behind_dot = text_[at_ - 1] == '.';
    const size_t whole = digits(0);
    const size_t decimals = behind_dot ? 0 : fraction(whole);
    const size_t power = behind_dot ? 0 : exponent(whole + decimals);
    std::string text(rest().substr(0, whole + decimals + power));
    std::erase(text, '_');
    if (decimals + power == 0) return read_integer(text, whole);
    add(TokenKind::kFloat, text);
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), tokens_.back().number);
    if (parsed.ec != std::errc()) return error("found the number " + text + ", which no float can hold");
    advance(whole + decimals + power);
    return success();
  }

  Status read_integer(const std::string& text, size_t size) {
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos) {
      return error("found the integer " + text + ", expected no zero at its front");
    }
    if (rest().size() > size && starts_name(rest()[size])) {
      return error("found " + quoted(rest().substr(0, size + 1)) + ", expected a decimal number");
    }
    add(TokenKind::kInteger, text);
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), tokens_.back().integer);
    if (parsed.ec != std::errc()) return error("found an integer of more than 64 bits");
    advance(size);
    return success();
  }

  Status read_string() {
    const std::string_view text = rest();
    size_t size = 1;
    while (size < text.size() && text[size] != text[0]) size += text[size] == '\\' ? 2 : 1;
    if (size >= text.size()) return error("found a string without end");
    Result<std::string> value = string_literal(text.substr(1, size - 1));
    if (!value.ok()) return error(value.error().message);
    add(TokenKind::kString, *value);
    advance(size + 1);
    return success();
  }

  Status read_operator() {
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", "<=", ">=", "+", "-", "/", "*", "%", "~", "[",
                                               "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found =
        std::ranges::find_if(kOperators, [&](std::string_view candidate) { return rest().starts_with(candidate); });
    if (found == std::end(kOperators))
      return error("found the character " + quoted(split_characters(rest().substr(0, 4))[0]));
    CARAT_TRY_STATUS(balance((*found)[0]));
    add(TokenKind::kOperator, *found);
    advance(found->size());
    return success();
  }

  Status balance(char bracket) {
    constexpr std::string_view kOpening = "([{";
    constexpr std::string_view kClosing = ")]}";
    if (const size_t kind = kOpening.find(bracket); kind != std::string_view::npos) brackets_ += kClosing[kind];
    if (kClosing.find(bracket) == std::string_view::npos) return success();
    if (!brackets_.ends_with(bracket)) {
      const std::string expected =
          brackets_.empty() ? "no closing bracket" : quoted(brackets_.substr(brackets_.size() - 1));
      return error("found " + quoted({&bracket, 1}) + ", expected " + expected);
    }
    brackets_.pop_back();
    return success();
  }

  std::string_view text_;
  const std::string& source_;
  size_t at_ = 0;
  int line_ = 1;
  std::string brackets_;  // the closing ones that are still to come
  std::vector<Token> tokens_;
};

}  // namespace

Error error_at(const std::string& source, int line, const std::string& message) {
  return refused(source + ": line " + std::to_string(line) + ": " + message);
}

Result<std::vector<Token>> tokenize(std::string_view text, const std::string& source) {
  const std::string lines = normalized(text);
  return Lexer(lines, source).run();
}

}  // namespace carat::jinja
