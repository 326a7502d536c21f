#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/model_config.h"
#include "lattice/scheme.h"

namespace carat {

/// The Gemma 4 text decoder as a torch module, for training: no cache, whole sequences, no experts.
///
/// Its parameters are float32 *latent* weights under their checkpoint names (with '/' for '.', which torch
/// reserves). The forward pass uses each of them snapped to its lattice of the scheme; gradients pass
/// straight through to the latent weights. With a scheme of F32 alone it is the float model.
///
/// The layer scalars are buffers, as in transformers: they are not trained.
class GemmaTorchImpl : public torch::nn::Module {
 public:
  /// `config` has no experts.
  GemmaTorchImpl(ModelConfig config, Scheme scheme);

  /// Fresh weights: matrices normal with variance 1/in, embeddings such that the scaled rows have unit
  /// variance, norms 1 except the key norms, which start at 1/sqrt(width) because Gemma 4 does not scale
  /// attention scores, layer scalars 0.875. The same seed gives the same weights on every device.
  void initialise(uint64_t seed);

  /// Copies a checkpoint's exact values. The checkpoint has this module's shape.
  void load(const Checkpoint& checkpoint);

  /// Matrix products run in this type (bfloat16 or float32); everything else stays float32.
  void set_precision(at::ScalarType precision) { precision_ = precision; }

  /// What the output head needs: the normed hidden states and the head's weight as used in this pass.
  struct Output {
    at::Tensor hidden;  ///< [B, T, D]
    at::Tensor head;    ///< [V, D]
  };
  /// `ids` is int64 [B, T]; row b is one sequence that starts at position 0.
  Output forward(const at::Tensor& ids);

  /// Soft-capped logits [B, T, V] of an output; for tests and small vocabularies.
  at::Tensor logits(const Output& output) const;

  const ModelConfig& config() const { return config_; }
  const Scheme& scheme() const { return scheme_; }

  /// The latent weight of a tensor by its checkpoint name; the layer scalars too.
  at::Tensor latent(const std::string& name) const;

 private:
  struct KeysValues {
    at::Tensor keys;    ///< [B, K, T, width]
    at::Tensor values;  ///< [B, K, T, width]
  };
  struct Rotation {
    at::Tensor cosine, sine;  ///< [T, width / 2]
  };
  /// What is computed once a pass and used by all layers.
  struct Pass {
    std::unordered_map<int64_t, KeysValues> keys_values;  ///< by owning layer
    std::vector<at::Tensor> per_layer;                    ///< L times [B, T, P]
    Rotation sliding_rotation, full_rotation;
  };

  at::Tensor weight(const std::string& name) const;
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor project(const at::Tensor& x, const std::string& name) const;
  std::vector<at::Tensor> per_layer_inputs(const at::Tensor& ids, const at::Tensor& x) const;
  Rotation rotation(AttentionType type, int64_t positions) const;
  at::Tensor layer(const at::Tensor& x, int64_t index, Pass& pass) const;
  at::Tensor attention(const at::Tensor& x, int64_t index, Pass& pass) const;
  KeysValues keys_values(const at::Tensor& x, int64_t index, const Rotation& rotation) const;

  ModelConfig config_;
  Scheme scheme_;
  at::ScalarType precision_ = at::kFloat;
  std::unordered_map<std::string, at::Tensor> latent_;  // by checkpoint name; shares storage with the parameters
};
TORCH_MODULE(GemmaTorch);

}  // namespace carat
