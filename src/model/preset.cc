#include "model/preset.h"

namespace carat {
namespace {

/// What the attention layers of one type have.
struct Heads {
  int64_t kv_heads, width;
};

/// Every `period`-th layer has full attention; the last `shared` layers read earlier keys and values.
struct PresetShape {
  std::string_view name;
  int64_t vocabulary, hidden, layers, period;
  int64_t shared = 0;
  int64_t heads;
  Heads sliding, full;
  bool value_is_key = false;  ///< in layers of full attention
  int64_t ffn_width;
  bool double_wide = false;  ///< feed-forward layers of sharing layers are twice as wide
  int64_t per_layer_width = 0;
  int64_t experts = 0, experts_used = 0, expert_width = 0;
  int64_t window, context;
};

constexpr PresetShape kOpal = {.name = "opal",
                               .vocabulary = 4096,
                               .hidden = 192,
                               .layers = 12,
                               .period = 3,
                               .shared = 6,
                               .heads = 4,
                               .sliding = {.kv_heads = 1, .width = 32},
                               .full = {.kv_heads = 1, .width = 64},
                               .ffn_width = 384,
                               .double_wide = true,
                               .per_layer_width = 128,
                               .window = 64,
                               .context = 512};

// The published models; transformers: models/gemma4/convert_gemma4_weights.py and
// models/gemma4_unified/convert_gemma4_unified_weights.py.
constexpr PresetShape kE2b = {.name = "e2b",
                              .vocabulary = 262144,
                              .hidden = 1536,
                              .layers = 35,
                              .period = 5,
                              .shared = 20,
                              .heads = 8,
                              .sliding = {.kv_heads = 1, .width = 256},
                              .full = {.kv_heads = 1, .width = 512},
                              .ffn_width = 6144,
                              .double_wide = true,
                              .per_layer_width = 256,
                              .window = 512,
                              .context = 131072};

constexpr PresetShape kE4b = {.name = "e4b",
                              .vocabulary = 262144,
                              .hidden = 2560,
                              .layers = 42,
                              .period = 6,
                              .shared = 18,
                              .heads = 8,
                              .sliding = {.kv_heads = 2, .width = 256},
                              .full = {.kv_heads = 2, .width = 512},
                              .ffn_width = 10240,
                              .per_layer_width = 256,
                              .window = 512,
                              .context = 131072};

constexpr PresetShape k12b = {.name = "12b",
                              .vocabulary = 262144,
                              .hidden = 3840,
                              .layers = 48,
                              .period = 6,
                              .heads = 16,
                              .sliding = {.kv_heads = 8, .width = 256},
                              .full = {.kv_heads = 1, .width = 512},
                              .value_is_key = true,
                              .ffn_width = 15360,
                              .window = 1024,
                              .context = 262144};

constexpr PresetShape k26bA4b = {.name = "26b-a4b",
                                 .vocabulary = 262144,
                                 .hidden = 2816,
                                 .layers = 30,
                                 .period = 6,
                                 .heads = 16,
                                 .sliding = {.kv_heads = 8, .width = 256},
                                 .full = {.kv_heads = 2, .width = 512},
                                 .value_is_key = true,
                                 .ffn_width = 2112,
                                 .experts = 128,
                                 .experts_used = 8,
                                 .expert_width = 704,
                                 .window = 1024,
                                 .context = 262144};

constexpr PresetShape k31b = {.name = "31b",
                              .vocabulary = 262144,
                              .hidden = 5376,
                              .layers = 60,
                              .period = 6,
                              .heads = 32,
                              .sliding = {.kv_heads = 16, .width = 256},
                              .full = {.kv_heads = 4, .width = 512},
                              .value_is_key = true,
                              .ffn_width = 21504,
                              .window = 1024,
                              .context = 262144};

constexpr PresetShape kPresets[] = {kOpal, kE2b, kE4b, k12b, k26bA4b, k31b};

ModelConfig config_of(const PresetShape& shape) {
  ModelConfig config;
  config.vocabulary = shape.vocabulary;
  config.hidden = shape.hidden;
  config.heads = shape.heads;
  config.per_layer_width = shape.per_layer_width;
  config.experts = shape.experts;
  config.experts_used = shape.experts_used;
  config.expert_width = shape.expert_width;
  config.sliding_window = shape.window;
  config.context = shape.context;
  config.softcap = 30.0f;
  for (int64_t i = 0; i < shape.layers; ++i) {
    const bool full = (i + 1) % shape.period == 0;
    const bool wide = shape.double_wide && i >= shape.layers - shape.shared;
    const Heads& heads = full ? shape.full : shape.sliding;
    config.layers.push_back({.attention = full ? AttentionType::kFull : AttentionType::kSliding,
                             .kv_heads = heads.kv_heads,
                             .head_width = heads.width,
                             .ffn_width = wide ? 2 * shape.ffn_width : shape.ffn_width,
                             .value_is_key = full && shape.value_is_key});
  }
  const Status assigned = assign_kv_layers(config, shape.shared);
  CARAT_CHECK(assigned.ok(), "a preset's layers have owners of both types");
  return config;
}

}  // namespace

Result<ModelConfig> preset_config(std::string_view name) {
  for (const PresetShape& shape : kPresets) {
    if (shape.name == name) return config_of(shape);
  }
  return wrong_usage("unknown preset \"" + std::string(name) + "\"; the presets are " + preset_names());
}

std::string preset_names() {
  std::string names;
  for (const PresetShape& shape : kPresets) names += (names.empty() ? "" : ", ") + std::string(shape.name);
  return names;
}

}  // namespace carat
