#include "eval/cache_statistics.h"

#include <algorithm>
#include <cmath>

#include "formats/scheme_tensors.h"
#include "lattice/lattice.h"
#include "lattice/static_range.h"

namespace carat {
namespace {

constexpr double kMostCodes = 0.999;

float scale_of(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView* found = checkpoint.find(name);
  return found == nullptr ? 0.0f : decode_tensor(*found).front();
}

}  // namespace

void CodeUse::add(std::span<const float> values, float scale) {
  for (const float value : values) {
    if (std::isnan(value)) continue;
    ++counts_[static_cast<size_t>(static_code(value, scale) + 128)];
    const float steps = value / scale;
    if (steps > 127.5f || steps < -128.5f) ++clipped_;
  }
  values_ += values.size();
}

double CodeUse::clipped() const {
  return values_ == 0 ? 0.0 : static_cast<double>(clipped_) / static_cast<double>(values_);
}

int CodeUse::bits() const {
  for (int bits = 1; bits < 8; ++bits) {
    const size_t half = size_t{1} << (bits - 1);
    uint64_t inside = 0;
    for (size_t i = 128 - half; i < 128 + half; ++i) inside += counts_[i];
    if (static_cast<double>(inside) >= kMostCodes * static_cast<double>(values_)) return bits;
  }
  return 8;
}

Result<CacheStatistics> CacheStatistics::create(const Model& model) {
  CacheStatistics statistics(model);
  const auto scaled = [](const Site& site) { return site.scale > 0.0f; };
  if (std::ranges::any_of(statistics.keys_, scaled) || std::ranges::any_of(statistics.values_, scaled)) {
    return statistics;
  }
  return refused(model.checkpoint().path().string() +
                 ": has no static scales for keys and values, so that there is no fit to be told");
}

CacheStatistics::CacheStatistics(const Model& model)
    : config_(&model.config()), keys_(config_->layers.size()), values_(config_->layers.size()) {
  for (size_t l = 0; l < keys_.size(); ++l) {
    const std::string attention = "model.layers." + std::to_string(l) + ".self_attn";
    keys_[l].scale = scale_of(model.checkpoint(), attention + std::string(kKeyCacheScale));
    values_[l].scale = scale_of(model.checkpoint(), attention + std::string(kValueCacheScale));
  }
  for_each_linear(model.weights(), [&](const std::string& module, const LinearWeights& layer) {
    if (layer.input_scale > 0.0f) inputs_[&layer] = {inputs_.size(), module, {layer.input_scale, {}}};
  });
}

void CacheStatistics::see_linear(const LinearWeights& layer, const float* x, int64_t T, const float*) {
  const auto input = inputs_.find(&layer);
  if (input == inputs_.end()) return;
  Site& site = input->second.site;
  site.use.add({x, static_cast<size_t>(T * layer.weight.columns())}, site.scale);
}

void CacheStatistics::see_cache(size_t layer, int64_t T, const float* keys, const float* values) {
  const LayerConfig& shape = config_->layers[layer];
  const auto count = static_cast<size_t>(T * shape.kv_heads * shape.head_width);
  if (keys != nullptr && keys_[layer].scale > 0.0f) keys_[layer].use.add({keys, count}, keys_[layer].scale);
  if (values_[layer].scale > 0.0f) values_[layer].use.add({values, count}, values_[layer].scale);
}

std::vector<CacheFit> CacheStatistics::cache() const {
  std::vector<CacheFit> fits;
  for (size_t l = 0; l < keys_.size(); ++l) {
    for (const bool keys : {true, false}) {
      const Site& site = keys ? keys_[l] : values_[l];
      if (site.scale > 0.0f) fits.push_back({l, keys, site.scale, site.use.clipped(), site.use.bits()});
    }
  }
  return fits;
}

std::vector<InputFit> CacheStatistics::inputs() const {
  std::vector<const Input*> ordered;
  for (const auto& [layer, input] : inputs_) ordered.push_back(&input);
  std::ranges::sort(ordered, {}, &Input::place);
  std::vector<InputFit> fits;
  for (const Input* input : ordered) {
    const auto& [scale, use] = input->site;
    fits.push_back({input->module, scale, use.clipped(), use.bits()});
  }
  return fits;
}

}  // namespace carat
