#include "eval/calibrate.h"

#include <unordered_map>
#include <vector>

#include "eval/magnitudes.h"
#include "formats/scheme_tensors.h"

namespace carat {
namespace {

class RangeObserver : public ActivationObserver {
 public:
  explicit RangeObserver(const Model& model)
      : config_(model.config()), keys_(config_.layers.size()), values_(config_.layers.size()) {
    for_each_linear(model.weights(),
                    [&](const std::string& module, const LinearWeights& layer) { linears_[&layer].module = module; });
  }

  void see_linear(const LinearWeights& layer, const float* x, int64_t T, const float* y) override {
    Linear& linear = linears_.at(&layer);
    linear.input.add({x, static_cast<size_t>(T * layer.weight.columns())});
    linear.output.add({y, static_cast<size_t>(T * layer.weight.rows())});
  }

  void see_cache(size_t layer, int64_t T, const float* keys, const float* values) override {
    const LayerConfig& shape = config_.layers[layer];
    const auto count = static_cast<size_t>(T * shape.kv_heads * shape.head_width);
    if (keys != nullptr) keys_[layer].add({keys, count});
    values_[layer].add({values, count});
  }

  std::map<std::string, float> scales() const {
    std::map<std::string, float> scales;
    for (const auto& [layer, linear] : linears_) {
      scales[linear.module + std::string(kInputScale)] = linear.input.best_scale();
      scales[linear.module + std::string(kOutputScale)] = linear.output.best_scale();
    }
    for (size_t l = 0; l < config_.layers.size(); ++l) {
      if (!config_.owns_kv(l)) continue;
      const std::string attention = "model.layers." + std::to_string(l) + ".self_attn";
      scales[attention + std::string(kKeyCacheScale)] = keys_[l].best_scale();
      scales[attention + std::string(kValueCacheScale)] = values_[l].best_scale();
    }
    return scales;
  }

 private:
  struct Linear {
    std::string module;
    Magnitudes input, output;
  };

  const ModelConfig& config_;
  std::unordered_map<const LinearWeights*, Linear> linears_;
  std::vector<Magnitudes> keys_, values_;  // of each layer
};

}  // namespace

Result<std::map<std::string, float>> calibrate(Model& model, const EvalText& text, const WindowOptions& options,
                                               const EvalProgress& progress) {
  RangeObserver observer(model);
  model.set_observer(&observer);
  Model* const models[] = {&model};
  const Status visited = visit_predictions(models, text, options, progress, [](const auto&) { return success(); });
  model.set_observer(nullptr);
  if (!visited.ok()) return visited.error();
  return observer.scales();
}

}  // namespace carat
