#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja_value.h"

/// How Python writes values.
namespace carat::jinja {

/// `str(value)`: what `{{ value }}` prints. An error for what Python prints with an address.
Result<std::string> to_text(const Value& value, Budget& budget);

/// `repr` of a string.
std::string quoted(std::string_view text);

struct JsonLayout {
  bool ascii_only = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  ///< one level; without it all is on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// `json.dumps(value)`. An error for what is no JSON.
Result<std::string> to_json(const Value& value, const JsonLayout& layout, Budget& budget);

/// `format % values`.
Result<Value> percent_format(std::string_view format, const Value& values, Budget& budget);
/// `format.format(...)`, without format specifications and conversions.
Result<Value> brace_format(std::string_view format, const Arguments& arguments, Budget& budget);

}  // namespace carat::jinja
