#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace carat::jinja {

/// The value of a Python string literal; `body` is what stands between the quotes. Refuses escapes that name no
/// character, and characters by name (`\N{...}`).
Result<std::string> string_literal(std::string_view body);

}  // namespace carat::jinja
