#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"
#include "formats/stored_tensor.h"

namespace carat {

/// The tensors of a folder with `"quant_method": "compressed-tensors"`, see `tensors_of_gemma_quant`. Those of the text
/// model alone, without the head, which must be the embedding's bytes again. Reads all scales and, where there is a
/// head, both tables once, and keeps none of their pages; the rest is not touched. Refuses, by name, what the
/// configuration and the stored tensors do not agree on, codes that do not lie as Carat's do, scales that are zero or
/// not finite. docs/safetensors.md lists the names and the refusals.
Result<std::vector<NamedTensor>> tensors_of_compressed(const std::vector<StoredTensor>& stored,
                                                       const nlohmann::ordered_json& quantization,
                                                       const ModelConfig& config, const std::string& source);

/// How such a folder stores `tensors`: each module by its name, in a group of those that are stored alike, and the head
/// as a copy of the embedding. `producer` is called when the tensors of the layout are produced. Refuses blocks, codes
/// that are no linear layer's or embedding's matrix or whose rows do not fill words of 32 bits, and static quantizers
/// of a layer of floats.
Result<FolderLayout> compressed_tensors_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                               const TensorProducer& producer);

}  // namespace carat
