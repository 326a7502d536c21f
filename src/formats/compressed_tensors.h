#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"
#include "formats/stored_tensor.h"

namespace carat {

/// The tensors of a folder with `"quant_method": "compressed-tensors"`, see `tensors_of_gemma_quant`.
Result<std::vector<NamedTensor>> tensors_of_compressed(const std::vector<StoredTensor>& stored,
                                                       const nlohmann::ordered_json& quantization,
                                                       const ModelConfig& config, const std::string& source);

/// How such a folder stores `tensors`.
Result<FolderLayout> compressed_tensors_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                               const TensorProducer& producer);

}  // namespace carat
