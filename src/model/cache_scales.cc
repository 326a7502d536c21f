#include "model/cache_scales.h"

#include <string>

#include "formats/checkpoint.h"
#include "formats/names.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

float scale_of(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView* scale = checkpoint.find(name);
  return scale == nullptr ? 0.0f : decode_tensor(*scale).front();
}

}  // namespace

std::vector<CacheScales> cache_scales_of(const Checkpoint& checkpoint) {
  std::vector<CacheScales> scales;
  bool any = false;
  for (const LayerConfig& layer : checkpoint.config().layers) {
    const std::string owner = "model.layers." + std::to_string(layer.kv_layer) + ".self_attn";
    scales.push_back({scale_of(checkpoint, owner + std::string(kKeyCacheScale)),
                      scale_of(checkpoint, owner + std::string(kValueCacheScale))});
    any = any || scales.back().keys > 0.0f || scales.back().values > 0.0f;
  }
  if (!any) scales.clear();
  return scales;
}

}  // namespace carat
