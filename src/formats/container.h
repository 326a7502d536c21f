#pragma once

#include <cstdint>
#include <string_view>

namespace carat {

/// The kinds of files that models come in. kSafetensors are HuggingFace folders of floats or with the integer codes of
/// `"quant_method": "gemma"`, kCompressedTensors those with the codes of `"quant_method": "compressed-tensors"`.
enum class Container : uint8_t { kGguf, kSafetensors, kCompressedTensors, kLitertlm };

/// "gguf", "safetensors", "compressed-tensors", "litertlm".
std::string_view container_name(Container container);

}  // namespace carat
