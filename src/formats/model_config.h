#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/provenance.h"

namespace carat {

/// Largest extents that `validate` accepts, well above every Gemma 4.
inline constexpr int64_t kMostLayers = 1024;
inline constexpr int64_t kMostHeads = 1024;
inline constexpr int64_t kWidestHead = 1 << 13;
inline constexpr int64_t kWidestHidden = 1 << 16;
inline constexpr int64_t kWidestFfn = 1 << 20;
inline constexpr int64_t kMostExperts = 1 << 12;
inline constexpr int64_t kLongestContext = 1 << 30;

enum class AttentionType : uint8_t { kSliding, kFull };

/// What differs from layer to layer.
struct LayerConfig {
  AttentionType attention = AttentionType::kSliding;
  int64_t kv_heads = 1;       ///< K: key-value heads
  int64_t head_width = 0;     ///< width of one head, for queries, keys and values
  int64_t ffn_width = 0;      ///< rows of the gate and up projections
  int64_t kv_layer = 0;       ///< the layer whose keys and values this one reads: itself, or the last owner of its type
  bool value_is_key = false;  ///< no value projection: values come from the key projection, before its norm and rope
};

/// The shape of a Gemma 4 text decoder, whatever file it came from. Letters are those of ARCHITECTURE.md.
///
/// A `ModelConfig` that a reader in this folder returns is valid: every extent is positive and bounded
/// (see `validate`), every layer's `kv_layer` owns its keys and values.
struct ModelConfig {
  int64_t vocabulary = 0;       ///< V
  int64_t hidden = 0;           ///< D
  int64_t heads = 0;            ///< H: query heads, the same in all layers
  int64_t per_layer_width = 0;  ///< P; 0 means no per-layer embeddings
  int64_t experts = 0;          ///< E: experts of each layer, beside its dense branch; 0 means none
  int64_t experts_used = 0;     ///< experts that a token is routed to
  int64_t expert_width = 0;     ///< feed-forward width of one expert
  int64_t sliding_window = 0;   ///< W: a sliding layer sees this many keys, its own included
  int64_t context = 0;          ///< most positions that the model was made for
  float rms_epsilon = 1e-6f;
  float softcap = 0.0f;  ///< final logits are softcap * tanh(logits / softcap); 0 means none
  float rope_theta_sliding = 1e4f;
  float rope_theta_full = 1e6f;
  float full_rotary_fraction = 0.25f;  ///< part of a full-attention head that rotates ("proportional" RoPE)
  std::vector<LayerConfig> layers;     ///< L entries
  std::string scheme;     ///< the scheme that a checkpoint says its weights lie on; empty when it does not say
  Provenance provenance;  ///< the steps that led to a checkpoint, as it says itself; see `add_step`

  bool owns_kv(size_t layer) const { return layers[layer].kv_layer == static_cast<int64_t>(layer); }
  int64_t layer_count() const { return static_cast<int64_t>(layers.size()); }
  /// Trailing layers that read an earlier layer's keys and values.
  int64_t shared_kv_layers() const;
  /// Pairs of a head that rotate: all of them in sliding layers, floor(fraction * width / 2) in full ones.
  int64_t rotated_pairs(const LayerConfig& layer) const;
};

/// Fills `kv_layer` of every layer: the last `shared` layers read the last owning layer of their own type.
/// Refuses when there is no such owner.
Status assign_kv_layers(ModelConfig& config, int64_t shared);

/// Refuses, by name, an extent that is not positive or beyond what any Gemma 4 could have (so that sizes
/// computed from a config cannot overflow), heads that key-value heads do not divide, odd head widths, more experts
/// used than there are, keys used as values in some full layers only or in a sliding one, a scheme's name that would
/// print as something else.
Status validate(const ModelConfig& config);

/// Reads `config.json` of a HuggingFace checkpoint, composite (`text_config`) or text-only, with the older
/// (`global_head_dim`, `num_global_key_value_heads`) or the newer (`per_layer_config`) keys. `source` names the file in
/// messages. Keys have the meaning and the defaults that transformers gives them (transformers:
/// models/gemma4/configuration_gemma4.py, models/gemma4_unified/configuration_gemma4_unified.py). Refuses, by name,
/// what is recognised but not supported: bidirectional attention, draft models, other models. How the weights are
/// quantized is not read here (`quantization_from_json`).
Result<ModelConfig> config_from_json(const std::string& text, const std::string& source);

/// The `config.json` of a text-only `Gemma4ForCausalLM` that transformers loads. `dtype` is torch's name of the
/// storage type: "float32", "bfloat16", "float16". The file has one head width and one number of key-value heads
/// per attention type and one feed-forward width, doubled or not in all sharing layers, and its last layer is a full
/// one; a config beyond that is refused.
Result<std::string> config_to_json(const ModelConfig& config, const std::string& dtype);

}  // namespace carat
