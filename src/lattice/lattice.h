#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

/// Every stored type is a *lattice*: the set of values that it can hold, with the rule that picks a scale and
/// the rule that rounds. These functions are the only place where a value is moved onto one; the quantizer,
/// the trainer's fake quantizer, the exporter and the reference kernels all call them.
///
/// For every type that can be encoded: decode(encode(x)) lies on the lattice, and snapping twice is snapping once, bit
/// for bit. The other types have no rule here that picks a point: Carat reads them from files and does not make them.

namespace carat {

/// Whether `encode` and `snap` know the type: F32, F16, BF16, Q4_0 and Q8_0.
bool can_encode(DType dtype);

/// "F32, F16, BF16, Q4_0, Q8_0", for messages.
std::string encodable_names();

/// Writes `values` as `dtype`, one that can be encoded. They are finite, and a whole number of blocks; `out` has
/// exactly their bytes. F16 and BF16 round half to even and take what is beyond their largest value to it, F32 is the
/// identity, Q4_0 is `encode_q4_0` and Q8_0 `encode_q8_0` on each 32 values.
void encode(DType dtype, std::span<const float> values, std::span<std::byte> out);

/// The exact float32 values of stored bytes, of any type; of integer codes the codes, without their scales. `values` is
/// a whole number of blocks.
void decode(DType dtype, Bytes bytes, std::span<float> values);

/// decode(encode(values)): the values that will be there after storing. `out` may be `values` itself.
void snap(DType dtype, std::span<const float> values, std::span<float> out);

/// Decodes one row, scales included; `out` holds `view.columns()` values.
void decode_row(const TensorView& view, int64_t row, std::span<float> out);

/// All values of a tensor, row after row.
std::vector<float> decode_tensor(const TensorView& view);

}  // namespace carat
