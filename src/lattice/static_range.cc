#include "lattice/static_range.h"

#include <algorithm>
#include <cmath>

namespace carat {

int8_t static_code(float x, float scale) {
  return static_cast<int8_t>(std::clamp(std::nearbyint(x / scale), -128.0f, 127.0f));
}

float snap_static(float x, float scale) {
  return std::isnan(x) ? x : static_cast<float>(static_code(x, scale)) * scale;
}

}  // namespace carat
