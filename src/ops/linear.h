#pragma once

#include "tensor/tensor.h"

namespace carat {

/// The weights of a linear layer [N, M] with its static quantizers (src/lattice/static_range.h); a scale of 0 means
/// that there is none.
///
/// With an input quantizer and integer codes that have one scale a row, the layer is computed in integers:
///
///     y[t, n] = float(sum over m of code[n, m] * static_code(x[t, m])) * (input_scale * scale[n])
///
/// exact sums in 32 bits, then two products rounded to float32. With any other weights the input is moved to its
/// lattice and the products are float32. Then y is moved to the output's lattice.
struct LinearWeights {
  TensorView weight;
  float input_scale = 0.0f;
  float output_scale = 0.0f;
};

/// Whether a layer is computed in integers: its weights are such, and their sums fit in 32 bits.
bool is_integer_linear(const LinearWeights& weights);

/// Bytes of scratch for the codes of x [T, M].
int64_t linear_scratch(int64_t T, int64_t M);

}  // namespace carat
