#pragma once

#include <vector>

namespace carat {

class Checkpoint;

/// The static quantizers (src/lattice/static_range.h) of the keys and values that a layer keeps; 0 where there is none.
struct CacheScales {
  float keys = 0.0f;
  float values = 0.0f;
};

/// By layer, those of the layer whose keys and values it reads. Empty when the checkpoint has no such scales.
std::vector<CacheScales> cache_scales_of(const Checkpoint& checkpoint);

}  // namespace carat
