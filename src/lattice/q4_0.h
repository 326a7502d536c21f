#pragma once

#include <span>

#include "tensor/block.h"

namespace carat {

using Q4_0Values = std::span<const float, kQ4_0Elements>;

/// Picks the point of the Q4_0 lattice for 32 finite values.
///
/// Scale rule (that of ggml's reference quantizer, ggml: src/ggml-quants.c, with a narrower scale): let `m` be
/// the value of largest magnitude, the first one on ties, with its sign; the step is m / -8, so the extremum
/// always takes code -8. The stored scale is that step rounded to bfloat16, then to binary16 (half to even
/// both times, magnitude at most 65280). Rounding to bfloat16 is what makes the lattice a fixed point: a
/// bfloat16 checkpoint whose values lie on it is requantized without loss by every Q4_0 quantizer.
///
/// Rounding rule: code + 8 = min(15, trunc(x / step + 8.5)) with the unrounded step, all in float32 with
/// `x * (1 / step)` for the quotient. A block whose scale rounds to zero has all codes zero.
BlockQ4_0 encode_q4_0(Q4_0Values values);

/// value i = (nibble i - 8) * scale, exact in float32.
void decode_q4_0(const BlockQ4_0& block, std::span<float, kQ4_0Elements> values);

}  // namespace carat
