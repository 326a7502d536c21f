#include "formats/common_value.h"

namespace carat {

std::optional<int64_t> common_value(const ModelConfig& config, AttentionType type, int64_t LayerConfig::*member,
                                    int64_t fallback) {
  std::optional<int64_t> common;
  for (const LayerConfig& layer : config.layers) {
    if (layer.attention != type) continue;
    if (common && *common != layer.*member) return std::nullopt;
    common = layer.*member;
  }
  return common.value_or(fallback);
}

}  // namespace carat
