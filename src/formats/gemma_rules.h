#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace carat {

/// Which modules of a checkpoint are quantized, and to how many bits, as the `quantization_config` of
/// `"quant_method": "gemma"` says it by names. The meaning is that of transformers (integrations/gemma_quant.py,
/// `replace_with_quant_layers`; quantizers/quantizers_utils.py, `should_convert_module`):
///
/// - A module stays as it is when a member of `modules_to_not_convert` is the end of its name, or matches, as a regular
///   expression, a part of it that begins the name and ends at a dot or with the name.
/// - Else the patterns of `module_quant_configs` are searched in the name. The match that begins first in the name
///   decides; among those that begin together, the pattern that stands first in the file.
/// - Where none matches, `num_bits` decides.
/// - Embeddings are quantized when `quantize_embeddings` says so.
///
/// Regular expressions are those of RE2; matching takes time in proportion to the expression and to the name.
class GemmaRules {
 public:
  /// Refuses, by name, members of another type, widths other than 2, 4 and 8, a pattern that RE2 cannot compile, and
  /// more or longer patterns than any checkpoint has. `source` names the file in messages.
  static Result<GemmaRules> read(const nlohmann::ordered_json& quantization, const std::string& source);

  GemmaRules(GemmaRules&&) noexcept;
  ~GemmaRules();

  /// Bits of a linear layer or an embedding, by the name that the file has for it; nothing when it stays as it is.
  std::optional<int> bits_of_linear(const std::string& module) const;
  std::optional<int> bits_of_embedding(const std::string& module) const;

  /// Refuses patterns that would take too long with names that have so many characters together, when each
  /// name is asked for its bits once and stands in `unused_patterns` once. `source` names the file in messages.
  Status check_effort(size_t characters, const std::string& source) const;

  /// The patterns of `module_quant_configs` that are found in none of these names.
  std::vector<std::string> unused_patterns(const std::set<std::string>& modules) const;

 private:
  struct Rule;
  struct Exception;
  GemmaRules();
  Status add_rules(const nlohmann::ordered_json& rules, const std::string& source);
  Status add_exceptions(const nlohmann::ordered_json& names, const std::string& source);

  std::vector<Rule> rules_;
  std::vector<Exception> exceptions_;
  int default_bits_ = 4;
  bool quantize_embeddings_ = false;
};

}  // namespace carat
