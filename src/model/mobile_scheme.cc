#include "model/mobile_scheme.h"

#include <algorithm>

#include "formats/scheme_json.h"
#include "model/published_model.h"

namespace carat {
namespace {

SchemeRule row_codes(std::string pattern, DType codes) { return {.pattern = std::move(pattern), .lattice = codes}; }

SchemeRule linear_codes(std::string pattern, DType codes) {
  return {.pattern = std::move(pattern), .lattice = codes, .static_range = true};
}

/// The table of E2B is the largest part of the model, and yet it has the wider codes: one that is only read from disk,
/// a row at a time, costs nothing while the model runs.
DType per_layer_codes(const ModelConfig& config) {
  const PublishedModel* like = likeness_of(config).model;
  return like != nullptr && like->preset == "e2b" ? DType::kI4 : DType::kI2;
}

void add_wide_ffn_rules(const ModelConfig& config, std::vector<SchemeRule>& rules) {
  const int64_t narrowest = std::ranges::min_element(config.layers, {}, &LayerConfig::ffn_width)->ffn_width;
  for (size_t l = 0; l < config.layers.size(); ++l) {
    if (config.layers[l].ffn_width == narrowest) continue;
    rules.push_back(linear_codes("model.layers." + std::to_string(l) + ".mlp.*_proj.weight", DType::kI2));
  }
}

}  // namespace

Result<Scheme> mobile_scheme(const ModelConfig& config) {
  if (config.experts != 0) {
    return refused("the scheme \"mobile\" has no experts, and this model has " + std::to_string(config.experts) +
                   " in each layer; use another scheme: " + built_in_scheme_names());
  }
  const DType table = per_layer_codes(config);
  const int64_t per_byte = block_elements(table);
  if (config.per_layer_width % per_byte != 0) {
    return refused("the scheme \"mobile\" needs per-layer embeddings whose width is a multiple of " +
                   std::to_string(per_byte) + ", this model's are " + std::to_string(config.per_layer_width) +
                   " wide; use another scheme: " + built_in_scheme_names());
  }
  Scheme scheme = {.name = std::string(kMobileSchemeName), .rules = {}, .static_cache = true};
  std::vector<SchemeRule>& rules = scheme.rules;
  rules.push_back(row_codes("model.embed_tokens.weight", DType::kI2));
  rules.push_back(row_codes("lm_head.weight", DType::kI2));
  rules.push_back(
      {.pattern = "model.embed_tokens_per_layer.weight", .lattice = table, .group = config.per_layer_width});
  rules.push_back(linear_codes("*.self_attn.*_proj.weight", DType::kI4));
  add_wide_ffn_rules(config, rules);
  rules.push_back(linear_codes("*.mlp.*_proj.weight", DType::kI4));
  rules.push_back(linear_codes("*.per_layer_input_gate.weight", DType::kI8));
  rules.push_back(linear_codes("*.per_layer_projection.weight", DType::kI8));
  // What static quantizers are made of is no weight.
  rules.push_back(row_codes("*_scale", DType::kF32));
  rules.push_back(row_codes("*", DType::kBF16));
  return scheme;
}

Result<Scheme> load_scheme(const std::string& name_or_path, const ModelConfig& config) {
  if (name_or_path == kMobileSchemeName) return mobile_scheme(config);
  return load_scheme(name_or_path, scheme_names());
}

std::string scheme_names() { return built_in_scheme_names() + ", " + std::string(kMobileSchemeName); }

}  // namespace carat
