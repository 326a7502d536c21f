#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "ops/linear.h"
#include "tensor/tensor.h"

namespace carat {

/// One expert of a layer, Fe the width of an expert.
struct ExpertWeights {
  TensorView gate;  // [Fe, D]
  TensorView up;    // [Fe, D]
  TensorView down;  // [D, Fe]
};

/// The mixture of experts of a layer, beside its dense branch.
struct MoeWeights {
  TensorView router_proj;                // [E, D]
  std::vector<float> router_scale;       // [D]
  std::vector<float> expert_scale;       // [E]  the factor of each expert's output
  std::vector<ExpertWeights> experts;    // E
  std::vector<float> post_dense_norm;    // [D]  of what the dense branch gives
  std::vector<float> pre_experts_norm;   // [D]  of what the experts are given
  std::vector<float> post_experts_norm;  // [D]  of the sum of what they give
};

/// One decoder layer. Linear layers come with the static quantizers that the checkpoint has for them. Matrices lie in
/// the checkpoint's file, in whatever type it stores; the small norm weights are decoded to float32 once. d is the
/// layer's head width, F its ffn width, K its key-value heads.
struct LayerWeights {
  std::vector<float> input_norm;             // [D]
  LinearWeights q_proj;                      // [H * d, D]
  std::vector<float> q_norm;                 // [d]
  LinearWeights k_proj;                      // [K * d, D]   only in layers that own keys and values
  LinearWeights v_proj;                      // [K * d, D]   the same, unless their values are their keys
  std::vector<float> k_norm;                 // [d]          only in layers that own keys and values
  LinearWeights o_proj;                      // [D, H * d]
  std::vector<float> post_attention_norm;    // [D]
  std::vector<float> pre_feedforward_norm;   // [D]
  LinearWeights gate_proj;                   // [F, D]
  LinearWeights up_proj;                     // [F, D]
  LinearWeights down_proj;                   // [D, F]
  std::vector<float> post_feedforward_norm;  // [D]
  MoeWeights moe;                            // only when E > 0
  LinearWeights per_layer_input_gate;        // [P, D]       only when P > 0
  LinearWeights per_layer_projection;        // [D, P]       only when P > 0
  std::vector<float> post_per_layer_norm;    // [D]          only when P > 0
  float layer_scalar = 1.0f;                 // multiplies the whole residual stream; 1 when the file has none
};

/// Which static quantizers of linear layers are bound. Without them a model is another one than was trained: leave them
/// out only to find where a difference comes from.
struct Quantizers {
  bool inputs = true;
  bool outputs = true;
};

/// All weights of a text decoder, bound by name. The views live as long as the checkpoint they came from.
struct ModelWeights {
  TensorView embed_tokens;                         // [V, D]
  LinearWeights head;                              // [V, D]  the same matrix
  std::vector<TensorView> embed_tokens_per_layer;  // [V, L * P], or L times [V, P]  only when P > 0
  LinearWeights per_layer_model_projection;        // [L * P, D]  only when P > 0
  std::vector<float> per_layer_norm;               // [P]         only when P > 0; the same for all layers
  std::vector<LayerWeights> layers;                // L
  std::vector<float> final_norm;                   // [D]

  /// Reads the vectors, no matrix. Refuses a vector with a value that is not finite, and a static quantizer of a layer
  /// that is computed without one. `instead` takes the place of the checkpoint's matrix of that name and shape; its
  /// memory outlives the weights.
  static Result<ModelWeights> bind(const Checkpoint& checkpoint, const Quantizers& quantizers = {},
                                   const std::optional<NamedTensor>& instead = std::nullopt);
};

/// Calls `see` for each linear layer that may have static quantizers, with the name of its module
/// ("model.layers.0.self_attn.q_proj"; "lm_head" for the head). `layer` is the member of `weights` itself.
void for_each_linear(const ModelWeights& weights,
                     const std::function<void(const std::string& module, const LinearWeights& layer)>& see);

/// Values of the vectors that `bind` decodes.
int64_t decoded_weight_count(const ModelConfig& config);

}  // namespace carat
