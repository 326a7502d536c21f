#pragma once

#include <string>
#include <unordered_map>

#include "formats/model_config.h"

namespace carat {

/// Static scales that suit a random model (`write_random_model`) of this shape, by tensor name (`static_scales`):
/// those of every linear layer, the head included, and of the keys and values of every layer that keeps them.
///
/// They follow from the known deviations of the weights: what leaves a norm has deviation 1, a linear layer keeps it,
/// attention averages over its window, and the residual stream grows from 1 by what each layer adds. A scale is four
/// deviations / 127.5.
std::unordered_map<std::string, float> random_static_scales(const ModelConfig& config);

}  // namespace carat
