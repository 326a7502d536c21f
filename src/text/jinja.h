#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace carat {

namespace jinja {
struct Document;
}

/// A chat template in the language Jinja, as HuggingFace's `apply_chat_template` renders it: jinja2's
/// `ImmutableSandboxedEnvironment` with `trim_blocks`, `lstrip_blocks`, `break` and `continue`, and with its own
/// `tojson` and `raise_exception`.
///
/// A template comes from a file and is not trusted. Its size, nesting, work, text and lists are bounded
/// (`jinja_limits.h`), and it reaches nothing but the variables that it is given.
///
/// What this does not know, it refuses by name: `include`, `import`, `extends`, `block`, recursive loops, methods that
/// change a list or a dict, integers of more than 64 bits, upper and lower case of letters beyond ASCII.
/// `strftime_now` is undefined, so that a text does not depend on the day. `safe` and `escape` yield plain strings.
class JinjaTemplate {
 public:
  /// Reads a template. `source` names it in messages. Refuses text that is no valid UTF-8 and what is no Jinja, with
  /// the line, what was found and what was expected.
  static Result<JinjaTemplate> parse(std::string_view text, const std::string& source);

  /// The text for `variables`, a JSON object. Refuses, with the line, what jinja2 refuses at run time; a message of
  /// `raise_exception` is made `printable`. The same template can be rendered by several threads at once.
  Result<std::string> render(const nlohmann::ordered_json& variables) const;

 private:
  explicit JinjaTemplate(std::shared_ptr<const jinja::Document> document) : document_(std::move(document)) {}

  std::shared_ptr<const jinja::Document> document_;
};

}  // namespace carat
