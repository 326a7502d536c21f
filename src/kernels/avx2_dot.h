#pragma once

#include "kernels/kernels.h"

namespace carat {

/// What AVX2 does with stored rows, by DType. Only where the compiler builds for x86.
extern const RowsDot kAvx2RowsDot[kDTypes];
extern const DecodeRow kAvx2DecodeRow[kDTypes];

}  // namespace carat
