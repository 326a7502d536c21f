#include "formats/scheme_tensors.h"

namespace carat {
namespace {

constexpr std::string_view kWeight = ".weight";

void add_scale(std::string_view module, std::string_view which, std::vector<TensorSpec>& scales) {
  scales.push_back({std::string(module) + std::string(which), DType::kF32, {}});
}

void add_linear_scales(const Scheme& scheme, std::string_view tensor, std::vector<TensorSpec>& scales) {
  const SchemeRule* rule = scheme.rule_for(tensor);
  if (rule == nullptr || !rule->static_range || !tensor.ends_with(kWeight)) return;
  const std::string_view module = tensor.substr(0, tensor.size() - kWeight.size());
  add_scale(module, kInputScale, scales);
  add_scale(module, kOutputScale, scales);
}

void add_cache_scales(const ModelConfig& config, std::vector<TensorSpec>& scales) {
  for (size_t l = 0; l < config.layers.size(); ++l) {
    if (!config.owns_kv(l)) continue;
    const std::string attention = "model.layers." + std::to_string(l) + ".self_attn";
    if (!config.layers[l].value_is_key) add_scale(attention, kKeyCacheScale, scales);
    add_scale(attention, kValueCacheScale, scales);
  }
}

Result<int64_t> groups_of(const TensorSpec& spec, const SchemeRule& rule) {
  const std::string type(dtype_name(rule.lattice));
  if (spec.shape.size() > 2) {
    return refused(spec.name + ": experts cannot be stored as " + type + " codes; use another scheme");
  }
  const int64_t columns = spec.shape.back();
  if (rule.group == 0) return 1;
  if (columns % rule.group == 0 && rule.group % block_elements(rule.lattice) == 0) return columns / rule.group;
  return refused(spec.name + ": rows of " + std::to_string(columns) + " values cannot be stored as " + type +
                 " codes in groups of " + std::to_string(rule.group) + "; expected a divisor of the row that is a " +
                 "multiple of " + std::to_string(block_elements(rule.lattice)));
}

}  // namespace

std::vector<TensorSpec> static_scales(const ModelConfig& config, const Scheme& scheme) {
  std::vector<TensorSpec> scales;
  for (const TensorSpec& spec : expected_tensors(config)) {
    // The embedding is a linear layer as the head, which has a rule of its own.
    if (spec.shape.size() == 2 && !spec.name.starts_with("model.embed_tokens")) {
      add_linear_scales(scheme, spec.name, scales);
    }
  }
  add_linear_scales(scheme, "lm_head.weight", scales);
  if (scheme.static_cache) add_cache_scales(config, scales);
  return scales;
}

Result<std::vector<TensorSpec>> tensors_of_scheme(const ModelConfig& config, const Scheme& scheme,
                                                  Container container) {
  std::vector<TensorSpec> tensors = expected_tensors(config);
  for (TensorSpec& spec : tensors) {
    spec.dtype = storable(container, scheme.lattice_of(spec.name), spec.name, spec.shape);
    if (!is_code_type(spec.dtype)) continue;
    CARAT_TRY(spec.scale_groups, groups_of(spec, *scheme.rule_for(spec.name)));
  }
  for (TensorSpec& scale : static_scales(config, scheme)) tensors.push_back(std::move(scale));
  return tensors;
}

}  // namespace carat
