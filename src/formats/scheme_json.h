#pragma once

#include <string>

#include "base/result.h"
#include "lattice/scheme.h"

namespace carat {

/// A built-in scheme by its name, or the scheme in the JSON file at that path. A name wins over a file. `known` are the
/// names that a message says are expected.
Result<Scheme> load_scheme(const std::string& name_or_path, const std::string& known = built_in_scheme_names());

/// Reads a scheme:
///
///     {"name": "mixed", "static_cache": true,
///      "rules": [{"match": "*embed_tokens.weight",   "lattice": "I2", "group": 32},
///                {"match": "*mlp.*_proj.weight",     "lattice": "I4", "static_range": true},
///                {"match": "*_proj.weight",          "lattice": "Q4_0"}]}
///
/// `match` is a pattern of `matches_pattern`, `lattice` a type that can be encoded (`encodable_names`), or integer
/// codes: I8, I4, I2. The first rule that matches decides, F32 when none does. `group` and `static_range` need integer
/// codes; they and `static_cache` may be left out, see `Scheme`. The name must not be a built-in one. `source` names
/// the file in messages.
Result<Scheme> scheme_from_json(const std::string& text, const std::string& source);

/// The text that `scheme_from_json` reads, a rule on a line. What may be left out is.
std::string scheme_to_json(const Scheme& scheme);

}  // namespace carat
