#include "model/preset.h"

namespace carat {
namespace {

/// An E-series model: every `period`-th layer has full attention, the last `shared` layers read earlier keys and
/// values and have feed-forward layers twice as wide.
struct EShape {
  int64_t vocabulary, hidden, layers, period, shared, heads, kv_heads, sliding_width, full_width, ffn_width;
  int64_t per_layer_width, window, context;
};

constexpr EShape kOpal = {.vocabulary = 4096,
                          .hidden = 192,
                          .layers = 12,
                          .period = 3,
                          .shared = 6,
                          .heads = 4,
                          .kv_heads = 1,
                          .sliding_width = 32,
                          .full_width = 64,
                          .ffn_width = 384,
                          .per_layer_width = 128,
                          .window = 64,
                          .context = 512};

constexpr EShape kE2b = {.vocabulary = 262144,
                         .hidden = 1536,
                         .layers = 35,
                         .period = 5,
                         .shared = 20,
                         .heads = 8,
                         .kv_heads = 1,
                         .sliding_width = 256,
                         .full_width = 512,
                         .ffn_width = 6144,
                         .per_layer_width = 256,
                         .window = 512,
                         .context = 131072};

ModelConfig e_series(const EShape& shape) {
  ModelConfig config;
  config.vocabulary = shape.vocabulary;
  config.hidden = shape.hidden;
  config.heads = shape.heads;
  config.per_layer_width = shape.per_layer_width;
  config.sliding_window = shape.window;
  config.context = shape.context;
  config.softcap = 30.0f;
  for (int64_t i = 0; i < shape.layers; ++i) {
    const bool full = (i + 1) % shape.period == 0;
    const bool shares = i >= shape.layers - shape.shared;
    config.layers.push_back({.attention = full ? AttentionType::kFull : AttentionType::kSliding,
                             .kv_heads = shape.kv_heads,
                             .head_width = full ? shape.full_width : shape.sliding_width,
                             .ffn_width = shares ? 2 * shape.ffn_width : shape.ffn_width});
  }
  const Status assigned = assign_kv_layers(config, shape.shared);
  CARAT_CHECK(assigned.ok(), "a preset's layers have owners of both types");
  return config;
}

}  // namespace

Result<ModelConfig> preset_config(std::string_view name) {
  if (name == "opal") return e_series(kOpal);
  if (name == "e2b") return e_series(kE2b);
  return wrong_usage("unknown preset \"" + std::string(name) + "\"; the presets are opal and e2b");
}

}  // namespace carat
