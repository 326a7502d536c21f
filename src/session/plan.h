#pragma once

#include <cstdint>

#include "formats/checkpoint.h"
#include "model/cache.h"

namespace carat {

/// What running a model takes, in bytes.
struct MemoryPlan {
  uint64_t weights_mapped = 0;   ///< pages of the file; the system loads them when touched and may drop them
  uint64_t per_layer_table = 0;  ///< part of `weights_mapped` of which only the rows of ids that are fed are touched
  uint64_t weights_decoded = 0;  ///< norm weights, as float32
  CacheBytes kv_cache;           ///< when all positions of the context are used
  uint64_t activations = 0;

  uint64_t total() const { return weights_mapped + weights_decoded + kv_cache.total() + activations; }
  /// What is in memory when all is in use, but for the rows of the per-layer table.
  uint64_t resident() const { return total() - per_layer_table; }
};

/// The plan for `context` positions, and a model and a cache with the batch of `options`. Its figures come from the
/// functions that size the allocations themselves.
MemoryPlan plan_memory(const Checkpoint& checkpoint, int64_t context, const CacheOptions& options = {});

}  // namespace carat
