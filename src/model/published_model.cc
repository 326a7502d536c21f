#include "model/published_model.h"

#include "model/preset.h"

namespace carat {
namespace {

// The sums over the shapes of all text tensors of a release. The model cards round them, and those of E2B and E4B add
// the vision and audio parts: 5.1, 8, 12, 25.2 and 30.7 billion.
constexpr PublishedModel kPublished[] = {
    {"Gemma 4 E2B", "e2b", 4'647'449'891},  {"Gemma 4 E4B", "e4b", 7'518'069'034},
    {"Gemma 4 12B", "12b", 11'907'350'320}, {"Gemma 4 26B-A4B", "26b-a4b", 25'233'141'790},
    {"Gemma 4 31B", "31b", 30'697'345'340},
};

struct Extent {
  std::string_view name;
  int64_t ModelConfig::*value;
};

constexpr Extent kExtents[] = {
    {"vocabulary", &ModelConfig::vocabulary},
    {"query heads", &ModelConfig::heads},
    {"per-layer embedding width", &ModelConfig::per_layer_width},
    {"experts", &ModelConfig::experts},
    {"experts used by a token", &ModelConfig::experts_used},
    {"expert width", &ModelConfig::expert_width},
    {"sliding window", &ModelConfig::sliding_window},
    {"context", &ModelConfig::context},
};

struct Number {
  std::string_view name;
  float ModelConfig::*value;
};

constexpr Number kNumbers[] = {
    {"RMS epsilon", &ModelConfig::rms_epsilon},
    {"logit soft-cap", &ModelConfig::softcap},
    {"sliding RoPE base", &ModelConfig::rope_theta_sliding},
    {"full RoPE base", &ModelConfig::rope_theta_full},
    {"rotary fraction", &ModelConfig::full_rotary_fraction},
};

struct LayerExtent {
  std::string_view name;
  int64_t LayerConfig::*value;
};

constexpr LayerExtent kLayerExtents[] = {
    {"key-value heads", &LayerConfig::kv_heads},
    {"head width", &LayerConfig::head_width},
    {"feed-forward width", &LayerConfig::ffn_width},
    {"keys and values of layer", &LayerConfig::kv_layer},
};

template <typename T>
std::string difference(std::string_view name, T found, T published) {
  return std::string(name) + " " + std::to_string(found) + " instead of " + std::to_string(published);
}

void compare_layers(const LayerConfig& found, const LayerConfig& published, const std::string& place,
                    std::vector<std::string>& differences) {
  if (found.attention != published.attention) differences.push_back(place + "another attention type");
  if (found.value_is_key != published.value_is_key) {
    differences.push_back(place + (found.value_is_key ? "no value projection" : "a value projection"));
  }
  for (const auto& [name, value] : kLayerExtents) {
    if (found.*value != published.*value)
      differences.push_back(place + difference(name, found.*value, published.*value));
  }
}

/// The layers differ in the same way, most often: the first one that does is enough.
void compare_all_layers(const ModelConfig& found, const ModelConfig& published, std::vector<std::string>& differences) {
  const size_t before = differences.size();
  for (size_t i = 0; i < found.layers.size() && differences.size() == before; ++i) {
    compare_layers(found.layers[i], published.layers[i], "layer " + std::to_string(i) + ": ", differences);
  }
}

std::vector<std::string> differences_between(const ModelConfig& found, const ModelConfig& published) {
  std::vector<std::string> differences;
  for (const auto& [name, value] : kExtents) {
    if (found.*value != published.*value) differences.push_back(difference(name, found.*value, published.*value));
  }
  for (const auto& [name, value] : kNumbers) {
    if (found.*value != published.*value) differences.push_back(difference(name, found.*value, published.*value));
  }
  compare_all_layers(found, published, differences);
  return differences;
}

}  // namespace

std::span<const PublishedModel> published_models() { return kPublished; }

Likeness likeness_of(const ModelConfig& config) {
  for (const PublishedModel& model : kPublished) {
    const ModelConfig published = preset_config(model.preset).value();
    if (published.layers.size() != config.layers.size() || published.hidden != config.hidden) continue;
    return {&model, differences_between(config, published)};
  }
  return {};
}

}  // namespace carat
