#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "formats/model_config.h"
#include "formats/named_tensor.h"
#include "formats/names.h"
#include "lattice/scheme.h"

namespace carat {

/// The static quantizers that a model of this shape has in `scheme`: one F32 value (shape {}) for the input and one for
/// the output of each linear layer with a static range, and one for the keys and one for the values of each layer that
/// keeps them. A layer whose values are its keys keeps values alone.
std::vector<TensorSpec> static_scales(const ModelConfig& config, const Scheme& scheme);

/// What a container holds of a model of this shape whose weights lie on the lattices of `scheme`: the tensors of
/// `expected_tensors`, in the types of `storable`, codes with their groups of scales; then `static_scales`. Refuses
/// codes of experts, groups that do not divide a row or hold no whole number of bytes.
Result<std::vector<TensorSpec>> tensors_of_scheme(const ModelConfig& config, const Scheme& scheme, Container container);

}  // namespace carat
