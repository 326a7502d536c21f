#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace carat {

/// What decides how much memory a session takes, besides its model.
struct MemoryChoice {
  int64_t context = 0;
  int64_t batch = 0;
  DType cache_type = DType::kF32;

  bool operator==(const MemoryChoice&) const = default;
};

/// What a session wants, and what of it may be made smaller.
struct MemoryWishes {
  MemoryChoice wanted;
  bool context_fixed = false;  ///< asked for by the user, and so for the others
  bool batch_fixed = false;
  bool cache_type_fixed = false;
  int64_t least_context = 1;               ///< what the prompt needs; at most what is wanted
  std::vector<DType> smaller_cache_types;  ///< that the model can take, in the order to try
};

/// Bytes that a session takes; no less for a larger context or batch.
using MemoryCost = std::function<uint64_t(const MemoryChoice&)>;

/// A batch below this reads prompts much slower.
inline constexpr int64_t kComfortableBatch = 32;
inline constexpr int64_t kLeastBatch = 8;
/// A context below this is too short for most work.
inline constexpr int64_t kComfortableContext = 4096;
inline constexpr int64_t kLeastContext = 512;

/// What fits `limit` bytes: all that is wanted, or, of what is not fixed, the first of these that fits:
///
///  1. a batch halved down to kComfortableBatch;
///  2. with that batch, the largest context from kComfortableContext on;
///  3. the same with a smaller cache type;
///  4. with any of these types, batches halved down to kLeastBatch, and the largest context from kLeastContext on.
///
/// No context is smaller than `least_context`. Nothing when none of them fits.
std::optional<MemoryChoice> fit_memory(const MemoryWishes& wishes, uint64_t limit, const MemoryCost& cost);

/// A choice that differs from what is wanted in one point, or in all.
struct MemorySaving {
  MemoryChoice choice;
  uint64_t saved = 0;  ///< bytes less than what is wanted
  bool fits = false;   ///< whether it is enough alone
};

/// What would help when nothing fits: each point made smaller by itself, fixed or not, by as much as it takes or as far
/// as it goes, and last, if no point is enough, all of them together. Those that save nothing are left out.
std::vector<MemorySaving> memory_savings(const MemoryWishes& wishes, uint64_t limit, const MemoryCost& cost);

}  // namespace carat
