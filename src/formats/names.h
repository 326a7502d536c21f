#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace carat {

/// `blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`; nothing for a name that a Gemma 4 text
/// model does not have (`rope_freqs.weight`, which is derived, among them).
/// Source of the names: llama.cpp, gguf-py/gguf/tensor_mapping.py and src/llama-arch.cpp. Those of scales are our own
/// (gguf_gemma4.h).
std::optional<std::string> hf_name_from_gguf(std::string_view name);

/// The inverse.
std::optional<std::string> gguf_name_from_hf(std::string_view name);

/// Whether the tensor of this HuggingFace name routes tokens to experts: a small matrix that no file rounds much.
bool is_router(std::string_view name);

/// The table of per-layer embeddings of all layers.
inline constexpr std::string_view kPerLayerTableName = "model.embed_tokens_per_layer.weight";

/// Names of static quantizers' scales, one number each, behind a linear layer's: "model.layers.0.mlp.up_proj" +
/// kInputScale.
inline constexpr std::string_view kInputScale = ".input_activation_scale";
inline constexpr std::string_view kOutputScale = ".output_activation_scale";
/// Behind the name of an attention, "model.layers.0.self_attn".
inline constexpr std::string_view kKeyCacheScale = ".k_cache_scale";
inline constexpr std::string_view kValueCacheScale = ".v_cache_scale";

/// Whether the name ends in one of these four.
bool is_static_scale(std::string_view name);

/// Whether the name is that of the scales of a tensor of codes, as a tensor of their own: `<module>.weight_scale`.
bool is_exact_scale(std::string_view name);

/// Whether a tensor of this HuggingFace text-only name is a part of the text model, be it one that Gemma 4 has or not;
/// others belong to image and audio towers.
bool is_of_text_model(std::string_view name);

/// Removes the composite checkpoint's `language_model.` part: `model.language_model.norm.weight` ->
/// `model.norm.weight`. Other names come back unchanged.
std::string text_only_name(std::string_view name);

}  // namespace carat
