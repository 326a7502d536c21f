#pragma once

#include <string>
#include <string_view>

/// Names of modules in the folders of mlx-lm. They are HuggingFace's but for a composite model's text part, which is
/// `language_model.model.`, and the experts of a layer, which are `experts.switch_glu.gate_proj`, `.up_proj` and
/// `.down_proj` (mlx-lm: models/gemma4.py, models/gemma4_text.py, `sanitize`).

namespace carat {

/// The module's name inside Carat: `language_model.model.layers.0.experts.switch_glu.up_proj` ->
/// `model.layers.0.experts.up_proj`. HuggingFace's own names, composite ones too, become text-only ones.
std::string module_of_mlx(std::string_view name);

/// What mlx-lm calls this module of a text-only model; undoes `module_of_mlx`.
std::string mlx_module(std::string_view name);

/// The module that a tensor of Carat belongs to, and back: experts' tensors have no `.weight`.
std::string_view module_of_weight(std::string_view tensor);
std::string weight_of_module(std::string_view module);

}  // namespace carat
