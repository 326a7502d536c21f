#pragma once

#include <cstdint>

#include "model/activations.h"
#include "model/cache.h"
#include "model/observer.h"
#include "model/token_rows.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace carat {

/// What the sublayers of one forward pass work on.
struct Pass {
  const ModelConfig& config;
  const ModelWeights& weights;
  Ops& ops;
  KvCache& cache;
  Activations& scratch;
  int64_t first_position;                  ///< position of the chunk's row 0
  ActivationObserver* observer = nullptr;  ///< null when nobody watches
  const TokenRows* token_rows = nullptr;   ///< of the per-layer table, fetched for the chunk; null when P = 0

  /// y [T, N] of a linear layer for x [T, M], T at most a batch; shown to the observer.
  void linear(const LinearWeights& layer, const float* x, int64_t T, float* y) const;
};

/// The rows of a chunk that a layer computes: [first, first + count).
struct Rows {
  int64_t first;
  int64_t count;
};

}  // namespace carat
