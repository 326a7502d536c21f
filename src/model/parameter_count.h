#pragma once

#include <cstdint>

#include "formats/model_config.h"

namespace carat {

/// How many numbers the tensors of a model hold, by their part in it.
struct ParameterCount {
  int64_t embedding = 0;          ///< of tokens; the head is the same tensor
  int64_t per_layer_table = 0;    ///< the per-layer embeddings, of which a token uses one row
  int64_t per_layer_inputs = 0;   ///< the projection of the embedding to per-layer inputs, and its norm
  int64_t per_layer_outputs = 0;  ///< in the layers: gate and projection of the per-layer inputs
  int64_t query = 0;
  int64_t key_value = 0;
  /// Keys, values and key norms of layers that read those of another: Google's releases store them, nothing uses them.
  int64_t unused_key_value = 0;
  int64_t attention_output = 0;
  int64_t feed_forward = 0;    ///< the dense branch
  int64_t router = 0;          ///< with its scales
  int64_t experts = 0;         ///< all of them
  int64_t active_experts = 0;  ///< those that a token is routed to
  int64_t norms = 0;           ///< and layer scalars

  /// What the model computes with, and what a checkpoint must hold.
  int64_t used() const;
  /// As Google's releases store it.
  int64_t stored() const { return used() + unused_key_value; }
  /// What one token is multiplied with: neither the per-layer table, which is looked up, nor experts that it is not
  /// routed to.
  int64_t active() const { return used() - per_layer_table - experts + active_experts; }
};

/// Of a valid config.
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace carat
