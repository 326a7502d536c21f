#pragma once

#include <cstdint>
#include <string_view>

namespace carat {

/// The kinds of files that models come in. kSafetensors are HuggingFace folders of floats or with the integer codes of
/// `"quant_method": "gemma"`, kCompressedTensors those with the codes of `"quant_method": "compressed-tensors"`, kMlx
/// those with codes as mlx-lm stores them.
enum class Container : uint8_t { kGguf, kSafetensors, kCompressedTensors, kLitertlm, kMlx };

/// "gguf", "safetensors", "compressed-tensors", "litertlm", "mlx".
std::string_view container_name(Container container);

}  // namespace carat
