#include "formats/model_config.h"

#include <array>
#include <cmath>
#include <optional>

#include "formats/quote.h"
#include "formats/vocabulary.h"

namespace carat {
namespace {

Status check_extent(const std::string& what, int64_t found, int64_t largest) {
  if (found >= 1 && found <= largest) return success();
  return refused(what + ": expected 1 to " + std::to_string(largest) + ", found " + std::to_string(found));
}

Status check_number(const std::string& what, float found, bool good, const std::string& expected) {
  if (std::isfinite(found) && good) return success();
  return refused(what + ": expected " + expected + ", found " + number_text(found));
}

Status check_numbers(const ModelConfig& config) {
  CARAT_TRY_STATUS(check_number("RMS epsilon", config.rms_epsilon, config.rms_epsilon > 0 && config.rms_epsilon < 1,
                                "more than 0 and less than 1"));
  CARAT_TRY_STATUS(check_number("logit soft-cap", config.softcap, config.softcap >= 0, "0 (none) or more"));
  CARAT_TRY_STATUS(
      check_number("sliding RoPE base", config.rope_theta_sliding, config.rope_theta_sliding >= 1, "1 or more"));
  CARAT_TRY_STATUS(check_number("full RoPE base", config.rope_theta_full, config.rope_theta_full >= 1, "1 or more"));
  return check_number("rotary fraction", config.full_rotary_fraction,
                      config.full_rotary_fraction >= 0 && config.full_rotary_fraction <= 1, "0 to 1");
}

Status check_layer(const ModelConfig& config, size_t index) {
  const LayerConfig& layer = config.layers[index];
  const std::string name = "layer " + std::to_string(index) + ": ";
  CARAT_TRY_STATUS(check_extent(name + "head width", layer.head_width, kWidestHead));
  CARAT_TRY_STATUS(check_extent(name + "key-value heads", layer.kv_heads, kMostHeads));
  CARAT_TRY_STATUS(check_extent(name + "feed-forward width", layer.ffn_width, kWidestFfn));
  if (layer.head_width % 2 != 0) {
    return refused(name + "head width: expected an even number, found " + std::to_string(layer.head_width));
  }
  if (config.heads % layer.kv_heads != 0) {
    return refused(name + std::to_string(config.heads) + " query heads cannot be divided among " +
                   std::to_string(layer.kv_heads) + " key-value heads");
  }
  return success();
}

Status check_sharing(const ModelConfig& config) {
  ModelConfig expected = config;
  CARAT_TRY_STATUS(assign_kv_layers(expected, config.shared_kv_layers()));
  for (size_t index = 0; index < config.layers.size(); ++index) {
    const LayerConfig& layer = config.layers[index];
    const int64_t owner_index = expected.layers[index].kv_layer;
    const std::string name = "layer " + std::to_string(index) + ": ";
    if (layer.kv_layer != owner_index) {
      return refused(name + "reads the keys and values of layer " + std::to_string(layer.kv_layer) +
                     ", expected layer " + std::to_string(owner_index) + ", the last one of its type that has its own");
    }
    const LayerConfig& owner = config.layers[static_cast<size_t>(owner_index)];
    if (owner.head_width != layer.head_width || owner.kv_heads != layer.kv_heads) {
      return refused(name + "cannot share the keys and values of layer " + std::to_string(owner_index) +
                     ", whose heads have another shape");
    }
  }
  return success();
}

/// Either every full layer uses its keys as values or none does, and no sliding layer: the files know no other form.
Status check_key_as_value(const ModelConfig& config) {
  std::optional<bool> all_full;
  for (size_t index = 0; index < config.layers.size(); ++index) {
    const LayerConfig& layer = config.layers[index];
    const bool full = layer.attention == AttentionType::kFull;
    if (full && !all_full) all_full = layer.value_is_key;
    if (layer.value_is_key == (full && *all_full)) continue;
    return refused("layer " + std::to_string(index) + ": " +
                   (layer.value_is_key ? "has no value projection" : "has a value projection") +
                   "; expected none in any of the full attention layers, or one in every layer");
  }
  return success();
}

Status check_experts(const ModelConfig& config) {
  if (config.experts == 0) {
    if (config.experts_used == 0 && config.expert_width == 0) return success();
    return refused("experts used " + std::to_string(config.experts_used) + " and expert width " +
                   std::to_string(config.expert_width) + ", but there are no experts");
  }
  CARAT_TRY_STATUS(check_extent("experts", config.experts, kMostExperts));
  CARAT_TRY_STATUS(check_extent("experts used by a token", config.experts_used, config.experts));
  return check_extent("expert width", config.expert_width, kWidestFfn);
}

}  // namespace

int64_t ModelConfig::shared_kv_layers() const {
  int64_t shared = 0;
  for (size_t layer = 0; layer < layers.size(); ++layer) shared += owns_kv(layer) ? 0 : 1;
  return shared;
}

int64_t ModelConfig::rotated_pairs(const LayerConfig& layer) const {
  if (layer.attention == AttentionType::kSliding) return layer.head_width / 2;
  return static_cast<int64_t>(static_cast<double>(full_rotary_fraction) * static_cast<double>(layer.head_width) / 2.0);
}

Status assign_kv_layers(ModelConfig& config, int64_t shared) {
  const int64_t count = config.layer_count();
  if (shared < 0 || shared >= count) {
    return refused("layers that share keys and values: expected 0 to " + std::to_string(count - 1) + ", found " +
                   std::to_string(shared));
  }
  std::array<std::optional<int64_t>, 2> last_owner;
  for (int64_t index = 0; index < count; ++index) {
    LayerConfig& layer = config.layers[static_cast<size_t>(index)];
    auto& owner = last_owner[static_cast<size_t>(layer.attention)];
    if (index < count - shared) owner = index;
    if (!owner) {
      return refused("layer " + std::to_string(index) + ": shares keys and values, but none of the first " +
                     std::to_string(count - shared) + " layers has its attention type");
    }
    layer.kv_layer = *owner;
  }
  return success();
}

Status validate(const ModelConfig& config) {
  CARAT_TRY_STATUS(check_extent("vocabulary", config.vocabulary, kLargestVocabulary));
  CARAT_TRY_STATUS(check_extent("hidden width", config.hidden, kWidestHidden));
  CARAT_TRY_STATUS(check_extent("query heads", config.heads, kMostHeads));
  CARAT_TRY_STATUS(check_extent("layers", config.layer_count(), kMostLayers));
  CARAT_TRY_STATUS(check_extent("sliding window", config.sliding_window, kLongestContext));
  CARAT_TRY_STATUS(check_extent("context", config.context, kLongestContext));
  if (config.per_layer_width != 0) {
    CARAT_TRY_STATUS(check_extent("per-layer embedding width", config.per_layer_width, kWidestHidden));
  }
  if (!is_printable(config.scheme)) {
    return refused("scheme: expected at most 80 printable characters of ASCII, found " + in_quotes(config.scheme));
  }
  CARAT_TRY_STATUS(check_numbers(config));
  for (size_t index = 0; index < config.layers.size(); ++index) CARAT_TRY_STATUS(check_layer(config, index));
  CARAT_TRY_STATUS(check_experts(config));
  CARAT_TRY_STATUS(check_key_as_value(config));
  return check_sharing(config);
}

}  // namespace carat
