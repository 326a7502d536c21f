#include "model/random_ranges.h"

#include <algorithm>
#include <cmath>

#include "formats/scheme_tensors.h"
#include "model/random_model.h"

namespace carat {
namespace {

constexpr double kGated = 0.65;  // of gelu(x) for normal x, root mean square

/// Of what attention gives. Scores of deviation 1 weigh the W values of a window like W / e equal ones; a shorter
/// history gives more, the first position all of one value.
double attended_deviation(int64_t window) {
  return std::max(0.3125, std::sqrt(std::exp(1.0) / static_cast<double>(window)));
}

class Ranges {
 public:
  explicit Ranges(const ModelConfig& config) : config_(config) {}

  std::unordered_map<std::string, float> take() {
    add_linear("model.per_layer_model_projection", 1.0, 1.0);
    double variance = 1.0;
    for (size_t l = 0; l < config_.layers.size(); ++l) {
      const std::string layer = "model.layers." + std::to_string(l);
      add_attention(l, layer + ".self_attn");
      add_linear(layer + ".mlp.gate_proj", 1.0, 1.0);
      add_linear(layer + ".mlp.up_proj", 1.0, 1.0);
      add_linear(layer + ".mlp.down_proj", 1.0, kGated);
      variance += 2.0;
      const double residual = std::sqrt(variance);
      add_linear(layer + ".per_layer_input_gate", residual, residual);
      add_linear(layer + ".per_layer_projection", residual, kGated * residual);
      if (config_.per_layer_width > 0) variance += 1.0;
      variance *= kRandomLayerScalar * kRandomLayerScalar;
    }
    add_linear("lm_head", 1.0, 1.0);
    return std::move(scales_);
  }

 private:
  void add_attention(size_t layer, const std::string& attention) {
    for (const char* projection : {".q_proj", ".k_proj", ".v_proj"}) add_linear(attention + projection, 1.0, 1.0);
    const double attended = attended_deviation(config_.sliding_window);
    add_linear(attention + ".o_proj", attended, attended);
    add(attention, kKeyCacheScale, 1.0 / std::sqrt(static_cast<double>(config_.layers[layer].head_width)));
    add(attention, kValueCacheScale, 1.0);
  }

  void add_linear(const std::string& module, double input, double output) {
    add(module, kInputScale, input);
    add(module, kOutputScale, output);
  }

  void add(const std::string& module, std::string_view which, double deviation) {
    scales_[module + std::string(which)] = static_cast<float>(4.0 * deviation / 127.5);
  }

  const ModelConfig& config_;
  std::unordered_map<std::string, float> scales_;
};

}  // namespace

std::unordered_map<std::string, float> random_static_scales(const ModelConfig& config) { return Ranges(config).take(); }

}  // namespace carat
