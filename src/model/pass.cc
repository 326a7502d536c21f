#include "model/pass.h"

namespace carat {

void Pass::linear(const LinearWeights& layer, const float* x, int64_t T, float* y) const {
  ops.linear(layer, x, T, scratch.codes, y);
  if (observer != nullptr) observer->see_linear(layer, x, T, y);
}

}  // namespace carat
