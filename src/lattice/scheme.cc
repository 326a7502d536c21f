#include "lattice/scheme.h"

#include <algorithm>

namespace carat {
namespace {

std::vector<SchemeRule> matrix_rules(DType lattice, DType model_projection) {
  return {
      {"*norm.weight", DType::kF32},
      {"*_proj.weight", lattice},
      {"*.experts.*_proj", lattice},
      {"*per_layer_input_gate.weight", lattice},
      {"*per_layer_projection.weight", lattice},
      {"*per_layer_model_projection.weight", model_projection},
      {"*embed_tokens.weight", lattice},
      {"*embed_tokens_per_layer.weight", lattice},
      {"lm_head.weight", lattice},
  };
}

const std::vector<Scheme>& built_in_schemes() {
  static const std::vector<Scheme> schemes = {
      {"f32", {}},
      {"f16", matrix_rules(DType::kF16, DType::kF16)},
      {"bf16", matrix_rules(DType::kBF16, DType::kBF16)},
      {"q8_0", matrix_rules(DType::kQ8_0, DType::kBF16)},
      {"q4_0", matrix_rules(DType::kQ4_0, DType::kBF16)},
  };
  return schemes;
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // Greedy with one point to fall back to: on a mismatch the last `*` takes one character more.
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

const SchemeRule* Scheme::rule_for(std::string_view tensor_name) const {
  for (const SchemeRule& rule : rules) {
    if (matches_pattern(rule.pattern, tensor_name)) return &rule;
  }
  return nullptr;
}

DType Scheme::lattice_of(std::string_view tensor_name) const {
  const SchemeRule* rule = rule_for(tensor_name);
  return rule == nullptr ? DType::kF32 : rule->lattice;
}

const Scheme* built_in_scheme(std::string_view name) {
  for (const Scheme& scheme : built_in_schemes()) {
    if (scheme.name == name) return &scheme;
  }
  return nullptr;
}

std::string built_in_scheme_names() {
  std::string names;
  for (const Scheme& scheme : built_in_schemes()) names += (names.empty() ? "" : ", ") + scheme.name;
  return names;
}

bool has_blocks(const Scheme& scheme) {
  return std::ranges::any_of(scheme.rules, [](const SchemeRule& rule) {
    return !is_code_type(rule.lattice) && block_elements(rule.lattice) > 1;
  });
}

bool has_codes(const Scheme& scheme) {
  return std::ranges::any_of(scheme.rules, [](const SchemeRule& rule) { return is_code_type(rule.lattice); });
}

}  // namespace carat
