#include "formats/names.h"

#include <algorithm>

namespace carat {
namespace {

struct NamePair {
  std::string_view hf;
  std::string_view gguf;
};

constexpr NamePair kModelNames[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
    {"model.embed_tokens_per_layer.weight", "per_layer_token_embd.weight"},
    {"model.per_layer_model_projection.weight", "per_layer_model_proj.weight"},
    {"model.per_layer_projection_norm.weight", "per_layer_proj_norm.weight"},
};

// Behind `model.layers.N.` and `blk.N.`. Beware: GGUF's post_norm belongs to the per-layer embeddings.
constexpr NamePair kLayerNames[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"post_attention_layernorm.weight", "post_attention_norm.weight"},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
    {"layer_scalar", "layer_output_scale.weight"},
    {"per_layer_input_gate.weight", "inp_gate.weight"},
    {"per_layer_projection.weight", "proj.weight"},
    {"post_per_layer_input_norm.weight", "post_norm.weight"},
    {"router.proj.weight", "ffn_gate_inp.weight"},
    {"router.scale", "ffn_gate_inp.scale"},
    {"router.per_expert_scale", "ffn_down_exps.scale"},
    {"experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    {"experts.gate_proj", "ffn_gate_exps.weight"},
    {"experts.up_proj", "ffn_up_exps.weight"},
    {"experts.down_proj", "ffn_down_exps.weight"},
    {"post_feedforward_layernorm_1.weight", "post_ffw_norm_1.weight"},
    {"pre_feedforward_layernorm_2.weight", "pre_ffw_norm_2.weight"},
    {"post_feedforward_layernorm_2.weight", "post_ffw_norm_2.weight"},
    {"self_attn.k_cache_scale", "attn_k_cache.scale"},
    {"self_attn.v_cache_scale", "attn_v_cache.scale"},
};

constexpr NamePair kLayerPrefixes = {"model.layers.", "blk."};
constexpr std::string_view kWeight = ".weight";

// Instead of `.weight`: what is stored beside the weight of a linear layer.
constexpr NamePair kStaticScales[] = {
    {kInputScale, ".input_scale"},
    {kOutputScale, ".output_scale"},
};
constexpr NamePair kExactScales = {".weight_scale", ".row_scale"};

using Side = std::string_view NamePair::*;

std::optional<std::string> translate_listed(std::string_view name, Side from, Side to) {
  for (const NamePair& pair : kModelNames) {
    if (pair.*from == name) return std::string(pair.*to);
  }
  if (!name.starts_with(kLayerPrefixes.*from)) return std::nullopt;
  name.remove_prefix((kLayerPrefixes.*from).size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view number = name.substr(0, dot);
  const bool digits =
      !number.empty() && std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return std::nullopt;
  for (const NamePair& pair : kLayerNames) {
    if (pair.*from != name.substr(dot + 1)) continue;
    return std::string(kLayerPrefixes.*to) + std::string(number) + "." + std::string(pair.*to);
  }
  return std::nullopt;
}

/// What is stored beside a weight has the weight's name with another ending.
std::optional<std::string> translate_beside(std::string_view name, const NamePair& ending, Side from, Side to) {
  if (!name.ends_with(ending.*from)) return std::nullopt;
  name.remove_suffix((ending.*from).size());
  auto weight = translate_listed(std::string(name) + std::string(kWeight), from, to);
  if (!weight || !weight->ends_with(kWeight)) return std::nullopt;
  weight->resize(weight->size() - kWeight.size());
  return *weight + std::string(ending.*to);
}

std::optional<std::string> translate(std::string_view name, Side from, Side to) {
  if (auto listed = translate_listed(name, from, to)) return listed;
  for (const NamePair& ending : kStaticScales) {
    if (auto beside = translate_beside(name, ending, from, to)) return beside;
  }
  return translate_beside(name, kExactScales, from, to);
}

}  // namespace

std::optional<std::string> hf_name_from_gguf(std::string_view name) {
  return translate(name, &NamePair::gguf, &NamePair::hf);
}

std::optional<std::string> gguf_name_from_hf(std::string_view name) {
  return translate(name, &NamePair::hf, &NamePair::gguf);
}

bool is_router(std::string_view name) { return name.ends_with(".router.proj.weight"); }

bool is_static_scale(std::string_view name) {
  const bool of_linear = std::ranges::any_of(kStaticScales, [&](const NamePair& e) { return name.ends_with(e.hf); });
  return of_linear || name.ends_with(kKeyCacheScale) || name.ends_with(kValueCacheScale);
}

bool is_exact_scale(std::string_view name) { return name.ends_with(kExactScales.hf); }

bool is_of_text_model(std::string_view name) {
  return name.starts_with(kLayerPrefixes.hf) || gguf_name_from_hf(name).has_value();
}

std::string text_only_name(std::string_view name) {
  constexpr std::string_view kComposite = "model.language_model.";
  if (name.starts_with(kComposite)) return "model." + std::string(name.substr(kComposite.size()));
  return std::string(name);
}

}  // namespace carat
