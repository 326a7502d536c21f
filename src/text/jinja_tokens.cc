#include "text/jinja_tokens.h"

#include "text/jinja_format.h"

namespace carat::jinja {
namespace {

std::string shown(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kText:
      return "text";
    case TokenKind::kString:
      return "the string " + (token.text.size() > 40 ? std::string("...") : quoted(token.text));
    default:
      return '"' + token.text.substr(0, 40) + '"';
  }
}

}  // namespace

Error TokenReader::unexpected(const std::string& expected) const {
  return error(line(), "found " + shown(current()) + ", expected " + expected);
}

}  // namespace carat::jinja
