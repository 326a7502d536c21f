#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"
#include "formats/stored_tensor.h"

namespace carat {

/// The tensors of a folder as mlx-lm writes it, see `tensors_of_gemma_quant`; docs/mlx.md lists names and refusals.
/// Those of the text model alone, without the head, which must be the embedding's bytes again. `quantization` is the
/// member of config.json with that name. Codes of 4 and 2 bits lie in the file as Carat's do and are not copied. Reads
/// all scales and biases once, and where there is a head both tables, and keeps none of their pages. Refuses, by name,
/// codes of other widths, and a bias that is not the scale times the lowest code: such a group is no symmetric lattice.
Result<std::vector<NamedTensor>> tensors_of_mlx(const std::vector<StoredTensor>& stored,
                                                const nlohmann::ordered_json& quantization, const ModelConfig& config,
                                                const std::string& source);

/// How such a folder stores `tensors`: each module under mlx-lm's name for it, experts' gates apart from their ups, and
/// a layer without a scalar with one that is 1, for mlx-lm does not load a model without. `producer` is called when the
/// tensors of the layout are produced, for scales more than once. Refuses blocks, codes other than I4 and I2, groups
/// that MLX does not have, static quantizers, and a model that mlx-lm would take for another. Producing biases refuses
/// a scale so large that they are not finite.
Result<FolderLayout> mlx_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                const TensorProducer& producer);

}  // namespace carat
