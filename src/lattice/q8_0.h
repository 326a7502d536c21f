#pragma once

#include <span>

#include "tensor/block.h"

namespace carat {

using Q8_0Values = std::span<const float, BlockQ8_0::kElements>;

/// Picks the point of the Q8_0 lattice for 32 finite values, as ggml's reference quantizer does (ggml:
/// src/ggml-quants.c).
///
/// Scale rule: the step is the largest magnitude / 127. The stored scale is the step rounded to binary16, half to
/// even.
///
/// Rounding rule: code = x * (1 / step) rounded to the nearest integer, half away from zero, with the unrounded step,
/// all in float32. Codes are -127 to 127.
///
/// Two departures make the lattice a fixed point where ggml's has none: a scale is at most 65504 (ggml: infinity),
/// and a block whose scale rounds to zero has all codes zero (ggml keeps them, and negative ones decode to -0).
BlockQ8_0 encode_q8_0(Q8_0Values values);

/// value i = code i * scale, exact in float32.
void decode_q8_0(const BlockQ8_0& block, std::span<float, BlockQ8_0::kElements> values);

}  // namespace carat
