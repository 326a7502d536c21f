#include "formats/litertlm_names.h"

#include <charconv>

namespace carat {
namespace {

struct Known {
  std::string_view part;  // of the path
  std::string_view name;  // inside Carat; in a layer behind its prefix
};

constexpr Known kLinearInLayer[] = {
    {"/q_einsum/", "self_attn.q_proj"},
    {"/k_einsum/", "self_attn.k_proj"},
    {"/v_einsum/", "self_attn.v_proj"},
    {"/attn_vec_einsum/", "self_attn.o_proj"},
    {"/gating_einsum1/", "mlp.gate_proj"},
    {"/gating_einsum2/", "mlp.up_proj"},
    {"/mlp/linear/", "mlp.down_proj"},
    {"/per_layer_embedding_gate/", "per_layer_input_gate"},
    {"/per_layer_embedding_projection/", "per_layer_projection"},
};

constexpr Known kLinearOutside[] = {
    {"/per_layer_model_projection/", "model.per_layer_model_projection"},
    {"/decode_softmax/", "lm_head"},
};

constexpr Known kNormInLayer[] = {
    {"/pre_attention_norm/", "input_layernorm"},
    {"/query_norm/", "self_attn.q_norm"},
    {"/key_norm/", "self_attn.k_norm"},
    {"/post_attention_norm/", "post_attention_layernorm"},
    {"/pre_ffw_norm/", "pre_feedforward_layernorm"},
    {"/post_ffw_norm/", "post_feedforward_layernorm"},
    {"/post_per_layer_input_norm/", "post_per_layer_input_norm"},
};

constexpr Known kNormOutside[] = {
    {"/per_layer_embedding_projection_norm/", "model.per_layer_projection_norm"},
};

/// The digits at the head of `text` as a number of at most nine digits; nothing when there are none.
std::optional<int> leading_number(std::string_view text, size_t& digits) {
  constexpr size_t kMostDigits = 9;
  int number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  digits = static_cast<size_t>(parsed.ptr - text.data());
  if (parsed.ec != std::errc() || digits == 0 || digits > kMostDigits || number < 0) return std::nullopt;
  return number;
}

/// "model.layers.3." for a path through `/layer_3/`.
std::optional<std::string> layer_prefix(std::string_view path) {
  constexpr std::string_view kLayer = "/layer_";
  for (size_t at = path.find(kLayer); at != std::string_view::npos; at = path.find(kLayer, at + 1)) {
    const std::string_view rest = path.substr(at + kLayer.size());
    size_t digits = 0;
    const auto layer = leading_number(rest, digits);
    if (layer && rest.substr(digits).starts_with('/')) return "model.layers." + std::to_string(*layer) + ".";
  }
  return std::nullopt;
}

/// A path may begin with the part that is looked for.
bool passes(std::string_view path, std::string_view part) {
  return path.starts_with(part.substr(1)) || path.find(part) != std::string_view::npos;
}

template <size_t kCount>
std::optional<std::string> first_of(const Known (&table)[kCount], std::string_view path, const std::string& prefix) {
  for (const Known& known : table) {
    if (passes(path, known.part)) return prefix + std::string(known.name);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> linear_module_of_path(std::string_view path) {
  if (auto module = first_of(kLinearOutside, path, "")) return module;
  const auto prefix = layer_prefix(path);
  return prefix ? first_of(kLinearInLayer, path, *prefix) : std::nullopt;
}

std::optional<std::string> norm_of_path(std::string_view path) {
  if (passes(path, "/value_norm/")) return std::string();
  auto module = first_of(kNormOutside, path, "");
  const auto prefix = layer_prefix(path);
  if (!module && prefix) module = first_of(kNormInLayer, path, *prefix);
  if (module) *module += ".weight";
  return module;
}

std::optional<std::string> layer_scalar_of_path(std::string_view path) {
  const auto prefix = layer_prefix(path);
  if (!prefix || path.find("_maybe_apply_skip_scale/mul") == std::string_view::npos) return std::nullopt;
  return *prefix + "layer_scalar";
}

std::optional<std::string> cache_scale_of_name(std::string_view name) {
  constexpr std::string_view kCache = "kv_cache_";
  const size_t at = name.rfind(kCache);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(at + kCache.size());
  if (!rest.starts_with("k_") && !rest.starts_with("v_")) return std::nullopt;
  size_t digits = 0;
  const auto layer = leading_number(rest.substr(2), digits);
  if (!layer || rest.size() != 2 + digits) return std::nullopt;
  return "model.layers." + std::to_string(*layer) + ".self_attn." + rest[0] + "_cache_scale";
}

}  // namespace carat
