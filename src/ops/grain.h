#pragma once

#include <algorithm>
#include <cstdint>

namespace carat {

/// Items worth handing to another thread, given the multiplications of one: some microseconds' work, a few times what
/// waking a thread costs.
inline int64_t grain_for(int64_t work_per_item) {
  constexpr int64_t kWork = 32768;
  return std::max<int64_t>(1, kWork / std::max<int64_t>(1, work_per_item));
}

}  // namespace carat
