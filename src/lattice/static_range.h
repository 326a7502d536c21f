#pragma once

#include <cstdint>

/// Static 8-bit quantizers of activations: the lattice { code * scale }, codes -128 to 127, with a scale that was fixed
/// in training. Inputs and outputs of linear layers, keys and values go through one (transformers:
/// integrations/gemma_quant.py, `apply_srq`). A scale of 0 means that there is none.

namespace carat {

/// x / scale, the quotient rounded to float32, then to an integer half to even, then clamped. Infinities go to the ends
/// of the range. `scale` is positive and finite, `x` no NaN.
int8_t static_code(float x, float scale);

/// The value that x becomes: static_code(x, scale) * scale, rounded to float32. NaN stays NaN.
float snap_static(float x, float scale);

}  // namespace carat
