#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace carat {

enum class QuantMethod : uint8_t { kNone, kGemma, kCompressedTensors, kMlx };

/// What a config.json says of the quantization of its folder.
struct QuantizationConfig {
  QuantMethod method = QuantMethod::kNone;
  nlohmann::ordered_json json;  ///< the member that says so, its members in the order of the file; null for kNone
  bool head_apart = false;      ///< whether the files have a head beside the embedding
};

/// Reads `quantization_config`, from the top level or from `text_config`; the member `quantization`, which mlx-lm
/// writes, goes before it. `source` names the file in messages. Refuses, by name, another `quant_method` than `gemma`
/// and `compressed-tensors`, and more members than any such object has.
Result<QuantizationConfig> quantization_from_json(std::string_view text, const std::string& source);

}  // namespace carat
