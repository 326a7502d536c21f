#pragma once

#include <string>

#include "base/result.h"
#include "lattice/scheme.h"

namespace carat {

/// A built-in scheme by its name, or the scheme in the JSON file at that path. A name wins over a file.
Result<Scheme> load_scheme(const std::string& name_or_path);

/// Reads a scheme:
///
///     {"name": "mixed", "rules": [{"match": "*mlp.*_proj.weight", "lattice": "Q4_0"},
///                                 {"match": "*_proj.weight",      "lattice": "BF16"}]}
///
/// `match` is a pattern of `matches_pattern`, `lattice` one of F32, F16, BF16, Q4_0; the first rule that matches
/// decides, F32 when none does. The name must not be a built-in one. `source` names the file in messages.
Result<Scheme> scheme_from_json(const std::string& text, const std::string& source);

}  // namespace carat
