#pragma once

#include "model/pass.h"

namespace carat {

/// The inputs of the per-layer embeddings for all layers, from the fetched rows of the chunk's tokens and their scaled
/// embeddings (the residual before layer 0): (norm(projection(x) / sqrt(D)) + table row * sqrt(P)) / sqrt(2), the norm
/// over each layer's P values. Only for models with P > 0.
void compute_per_layer_inputs(const Pass& pass);

/// residual += norm(projection(gelu(gate(residual)) * input of this layer)). Only for models with P > 0.
void add_per_layer_embedding(const Pass& pass, size_t layer, Rows rows);

}  // namespace carat
