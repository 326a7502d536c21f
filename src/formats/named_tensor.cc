#include "formats/named_tensor.h"

#include <functional>
#include <numeric>

#include "base/check.h"

namespace carat {

TensorSpec scales_of(const TensorSpec& codes) {
  CARAT_CHECK(is_code_type(codes.dtype) && codes.scale_groups >= 1, "only integer codes have scales beside them");
  const int64_t rows = std::accumulate(codes.shape.begin(), codes.shape.end() - 1, int64_t{1}, std::multiplies<>());
  return {codes.name + "_scale", codes.scale_dtype, {rows, codes.scale_groups}};
}

}  // namespace carat
