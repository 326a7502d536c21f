#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"
#include "formats/stored_tensor.h"

namespace carat {

/// The tensors of a folder with `"quant_method": "gemma"`, under their text-only names, from those that its files
/// store. `quantization` is the folder's `quantization_config`, its keys in the order of the file, `source` names the
/// folder in messages.
Result<std::vector<NamedTensor>> tensors_of_gemma_quant(const std::vector<StoredTensor>& stored,
                                                        const nlohmann::ordered_json& quantization,
                                                        const ModelConfig& config, const std::string& source);

/// How such a folder stores `tensors`.
Result<FolderLayout> gemma_quant_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                        const TensorProducer& producer);

}  // namespace carat
