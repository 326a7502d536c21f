#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/jinja_lexer.h"

namespace carat::jinja {

/// The tokens of a template, read from front to back.
class TokenReader {
 public:
  /// Both must outlive the reader; the last token must be kEnd.
  TokenReader(std::span<const Token> tokens, const std::string& source) : tokens_(tokens), source_(source) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  /// The current token; then goes on to the next one. Stays at the end.
  const Token& take() {
    const Token& token = current();
    if (token.kind != TokenKind::kEnd) ++at_;
    return token;
  }

  bool at_operator(std::string_view text) const { return at(TokenKind::kOperator, text); }
  bool at_name(std::string_view text) const { return at(TokenKind::kName, text); }
  bool take_operator(std::string_view text) { return at_operator(text) && (take(), true); }
  bool take_name(std::string_view text) { return at_name(text) && (take(), true); }

  Status expect_operator(std::string_view text) {
    return take_operator(text) ? success() : Status(unexpected(quote(text)));
  }
  Status expect_name(std::string_view text) { return take_name(text) ? success() : Status(unexpected(quote(text))); }
  Status expect(TokenKind kind, const std::string& expected) {
    if (current().kind != kind) return unexpected(expected);
    take();
    return success();
  }
  /// Any name.
  Result<std::string> take_identifier(const std::string& expected) {
    if (current().kind != TokenKind::kName) return unexpected(expected);
    return take().text;
  }

  /// `source: line N: found X, expected Y`, for the current token.
  Error unexpected(const std::string& expected) const;
  Error error(int line, const std::string& message) const { return error_at(source_, line, message); }

 private:
  static std::string quote(std::string_view text) { return '"' + std::string(text) + '"'; }
  bool at(TokenKind kind, std::string_view text) const { return current().kind == kind && current().text == text; }

  std::span<const Token> tokens_;
  const std::string& source_;
  size_t at_ = 0;
};

}  // namespace carat::jinja
