#pragma once

#include <cstdint>

#include "formats/checkpoint.h"

namespace carat {

/// What running a model takes, in bytes.
struct MemoryPlan {
  uint64_t weights_mapped = 0;   ///< pages of the file; the system loads them when touched and may drop them
  uint64_t weights_decoded = 0;  ///< norm weights, as float32
  uint64_t kv_cache = 0;         ///< when all positions of the context are used
  uint64_t activations = 0;

  uint64_t total() const { return weights_mapped + weights_decoded + kv_cache + activations; }
};

/// The plan for `context` positions. Its figures come from the functions that size the allocations themselves.
MemoryPlan plan_memory(const Checkpoint& checkpoint, int64_t context);

}  // namespace carat
