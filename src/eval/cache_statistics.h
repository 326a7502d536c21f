#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "model/observer.h"

namespace carat {

/// How often each code of a static 8-bit quantizer came.
class CodeUse {
 public:
  void add(std::span<const float> values, float scale);

  /// Part of the values, 0 to 1, that lie beyond the codes and were clipped.
  double clipped() const;
  /// The bits that the codes take: the least b such that 99.9 % of them lie in -2^(b - 1) to 2^(b - 1) - 1.
  int bits() const;

 private:
  std::array<uint64_t, 256> counts_{};  // of code -128 and on
  uint64_t clipped_ = 0;
  uint64_t values_ = 0;
};

/// How the keys or the values of a layer fit the scale that was trained for them.
struct CacheFit {
  size_t layer;
  bool keys;  ///< values otherwise
  float scale;
  double clipped;
  int bits;

  /// Less than 0.1 % clip, and the codes take at least 5 bits. A scale that does not fit belongs to a graph that scales
  /// these keys and values otherwise.
  bool fits() const { return clipped < 0.001 && bits >= 5; }
};

/// How the input of a linear layer fits its scale.
struct InputFit {
  std::string module;
  float scale;
  double clipped;
  int bits;
};

/// Watches a model with static quantizers (`Model::set_observer`) and tells how its activations fit them.
class CacheStatistics : public ActivationObserver {
 public:
  /// Refuses a model whose checkpoint has no scales for keys and values. `model` outlives this and stays where it is.
  static Result<CacheStatistics> create(const Model& model);

  void see_linear(const LinearWeights& layer, const float* x, int64_t T, const float* y) override;
  void see_cache(size_t layer, int64_t T, const float* keys, const float* values) override;

  /// Layer after layer, keys before values; only of layers that keep keys and values.
  std::vector<CacheFit> cache() const;
  /// In the order of the model; only of layers with an input quantizer.
  std::vector<InputFit> inputs() const;

 private:
  struct Site {
    float scale = 0.0f;
    CodeUse use;
  };
  struct Input {
    size_t place;  // among the linear layers of the model
    std::string module;
    Site site;
  };

  explicit CacheStatistics(const Model& model);

  const ModelConfig* config_;
  std::vector<Site> keys_, values_;  // of each layer
  std::unordered_map<const LinearWeights*, Input> inputs_;
};

}  // namespace carat
