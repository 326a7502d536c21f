#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "tensor/dtype.h"

/// Integer codes with a scale beside them: the lattice { code * scale } of the mobile format. The range of codes is
/// that of two's complement, so that it has one negative level more than positive ones: 2 bits hold {-2, -1, 0, 1}.

namespace carat {

/// The codes of a type of 8, 4 or 2 bits: -2^(bits - 1) to 2^(bits - 1) - 1.
struct CodeRange {
  int lowest;
  int highest;
};

constexpr CodeRange code_range(int bits) { return {-(1 << (bits - 1)), (1 << (bits - 1)) - 1}; }

/// Rounding rule: code = x / scale, the quotient rounded to float32, then to an integer half to even, then clamped to
/// the range. `values` are finite, `scale` is positive and finite, `out` has exactly their bytes.
void encode_codes(DType dtype, std::span<const float> values, float scale, std::span<std::byte> out);

/// The codes as integers.
void unpack_codes(DType dtype, Bytes bytes, std::span<int8_t> codes);

/// The inverse; each code is in the type's range.
void pack_codes(DType dtype, std::span<const int8_t> codes, std::span<std::byte> out);

/// Scale rule "min-max": the largest magnitude / (highest code + 0.5), in float32; 1 where all values are zero. Its
/// extremes lie half a step beyond the highest code, so that a negative one takes the lowest code, unless float32 puts
/// the quotient a little below the half (Qwix: qwix/_src/core/qarray.py).
float min_max_scale(int bits, std::span<const float> values);

}  // namespace carat
