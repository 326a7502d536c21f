#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace carat {

/// Names in the published Gemma 4 bundles are paths through the training graph, such as
/// `.../transformer.transformer/layer_3/layer_3.pre_qkv/attn.pre_qkv/attn._pre_attention_fn/q_einsum/...`.

/// The module inside Carat of a linear layer with this path; nothing for a path that is not known.
std::optional<std::string> linear_module_of_path(std::string_view path);

/// The tensor inside Carat with the factors of a norm whose result has this path. Empty for the norm of values, whose
/// factors are all 1; nothing for a path that names no norm.
std::optional<std::string> norm_of_path(std::string_view path);

/// `model.layers.N.layer_scalar` for the path of the product with it.
std::optional<std::string> layer_scalar_of_path(std::string_view path);

/// `model.layers.N.self_attn.k_cache_scale` or `.v_cache_scale` for the name of a cache, `kv_cache_k_N`, that may stand
/// at the end of a longer one.
std::optional<std::string> cache_scale_of_name(std::string_view name);

}  // namespace carat
