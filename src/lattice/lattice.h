#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "tensor/tensor.h"

/// Every stored type is a *lattice*: the set of values that it can hold, with the rule that picks a scale and
/// the rule that rounds. These functions are the only place where a value is moved onto one; the quantizer,
/// the trainer's fake quantizer, the exporter and the reference kernels all call them.
///
/// For every type: decode(encode(x)) lies on the lattice, and snapping twice is snapping once, bit for bit.

namespace carat {

/// Writes `values` as `dtype`. They are finite, and a whole number of blocks; `out` has exactly their bytes.
/// F16 and BF16 round half to even, F32 is the identity, Q4_0 is `encode_q4_0` on each 32 values.
void encode(DType dtype, std::span<const float> values, std::span<std::byte> out);

/// The exact float32 values of encoded bytes. `values` is a whole number of blocks.
void decode(DType dtype, Bytes bytes, std::span<float> values);

/// decode(encode(values)): the values that will be there after storing. `out` may be `values` itself.
void snap(DType dtype, std::span<const float> values, std::span<float> out);

/// Decodes one row; `out` holds `view.columns()` values.
void decode_row(const TensorView& view, int64_t row, std::span<float> out);

/// All values of a tensor, row after row.
std::vector<float> decode_tensor(const TensorView& view);

}  // namespace carat
