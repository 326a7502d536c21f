#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat::jinja {

enum class TokenKind {
  kText,         ///< what stands outside of tags
  kOutputOpen,   ///< {{
  kOutputClose,  ///< }}
  kBlockOpen,    ///< {%
  kBlockClose,   ///< %}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;          ///< counts from 1
  std::string text;  ///< of a string: its value, without quotes and escapes
  int64_t integer = 0;
  double number = 0;
};

/// `source: line N: message`
Error error_at(const std::string& source, int line, const std::string& message);

/// The tokens of a template, with a kEnd as the last one. Comments are gone, `raw` blocks are text, and white space is
/// taken away as `-`, `trim_blocks` and `lstrip_blocks` say. One newline at the end of the template is dropped.
/// `text` must be valid UTF-8.
Result<std::vector<Token>> tokenize(std::string_view text, const std::string& source);

}  // namespace carat::jinja
