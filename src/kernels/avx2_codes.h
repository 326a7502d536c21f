#pragma once

#include "kernels/kernels.h"

namespace carat {

/// What AVX2 does with integer codes, by `code_type_index` or for a `Kernels` table. Only where the compiler builds for
/// x86.
extern const LayOutCodes kAvx2LayOutCodes[kCodeTypes];
extern const CodesDot kAvx2CodesDot[kCodeTypes];
bool avx2_static_codes(const float* x, int64_t n, float scale, int8_t* out);
void avx2_snap_static(float* x, int64_t n, float scale);

}  // namespace carat
