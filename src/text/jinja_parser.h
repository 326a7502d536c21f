#pragma once

#include <string>
#include <string_view>

#include "text/jinja_ast.h"

namespace carat::jinja {

/// Reads a template. `text` must be valid UTF-8 of at most kMaxTemplateBytes; `source` names it in messages.
Result<Document> parse_document(std::string_view text, const std::string& source);

}  // namespace carat::jinja
