#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "formats/litertlm.h"
#include "formats/named_tensor.h"

namespace carat {

/// The tensors of the text model in a Gemma 4 bundle, under their names inside Carat: codes with the scales of their
/// rows in types S2, S4 and I8, norms and layer scalars in F32, scales of static quantizers without extents. All lie in
/// the bundle. The table of the per-layer embeddings is a tensor [V, P] for each layer, see `per_layer_part`.
///
/// A weight is known by the path of the fully connected operator that it is an input of, a norm by the path of its
/// result, the tables by the model that they lie in, those of the layers by their order. Static scales are those of the
/// operator's quantized input and output, and of the caches that the graph is given.
///
/// The scales of a layer's cache are left out where 127 steps of the values' do not reach 1: values have a root mean
/// square of 1, so that the graph must keep something else in its cache.
///
/// Refuses, by name: weights with a path that is not known, a zero point that is not zero, scales that are not positive
/// and finite or not one for each row, tables of several types, a head that is not the embedding byte for byte.
Result<std::vector<NamedTensor>> tensors_of_litertlm(const LitertlmContent& bundle, const std::string& source);

/// "model.embed_tokens_per_layer.3.weight": the columns of one layer, a tensor of its own.
std::string per_layer_part(int64_t layer);

}  // namespace carat
