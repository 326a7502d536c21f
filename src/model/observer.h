#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/linear.h"

namespace carat {

/// Watches the activations of a forward pass, to learn their ranges or to see how trained ranges fit. It is called on
/// the thread that calls the model.
class ActivationObserver {
 public:
  virtual ~ActivationObserver() = default;

  /// A linear layer has made y [T, N] of x [T, M]. `layer` is a member of the model's weights, the same object in every
  /// call; x is what came in, before any quantizer of the layer, y what goes on.
  virtual void see_linear(const LinearWeights& layer, const float* x, int64_t T, const float* y) = 0;

  /// The keys and values [T, K * d] that `layer` gives to the cache, before they are rounded; `keys` is null where the
  /// cache keeps no keys.
  virtual void see_cache(size_t layer, int64_t T, const float* keys, const float* values) = 0;
};

}  // namespace carat
