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
/// folder in messages. The bytes that `stored` views lie in mapped files.
///
/// What a module is stored as follows from the rules (`GemmaRules`), by the names that the file has (transformers:
/// integrations/gemma_quant.py):
///
///     weight, of embeddings embedding_quantized              U8 [rows, columns bits / 8], of 8 bits I8: types I2, I4,
///     I8 weight_scale, of embeddings embedding_scale            F32 [rows, 1], of the per-layer table [rows, 1 or L]
///     input_activation_scale, output_activation_scale        F32, of linear layers; zero or missing: no quantizer
///     self_attn.k_cache_scale, self_attn.v_cache_scale       F32; zero or missing: none
///
/// Refuses, by name: rules that GemmaRules refuses, that contradict what is stored or match nothing in the files (rules
/// for image and audio towers may, where the towers are missing); row scales that are not positive and finite;
/// quantizers' scales that are negative or not finite; cache scales of a sharing layer that are not its owner's; a head
/// that is not the embedding byte for byte; types that are not expected. Reads all scales, the embedding and the head
/// once, and leaves none of their pages in memory.
Result<std::vector<NamedTensor>> tensors_of_gemma_quant(const std::vector<StoredTensor>& stored,
                                                        const nlohmann::ordered_json& quantization,
                                                        const ModelConfig& config, const std::string& source);

/// How such a folder stores `tensors`: all that is above, zeros for quantizers that a quantized linear layer lacks, the
/// head as a copy of a quantized embedding, cache scales repeated in sharing layers. Rules name whole modules, so that
/// their order does not matter. Scales are F32. Refuses what the format has no place for: codes of experts, groups
/// within a row, quantizers around a layer of floats. `producer` outlives what is returned.
Result<FolderLayout> gemma_quant_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                        const TensorProducer& producer);

}  // namespace carat
