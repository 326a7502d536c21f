#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace carat {

/// Numbers from a normal distribution.
inline std::vector<float> normals(Random& random, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = random.normal();
  return values;
}

}  // namespace carat
