#pragma once

#include <ATen/ATen.h>

/// Differentiable operations that the decoder needs and libtorch lacks or composes slowly. Each has its
/// backward formula written out; the tests compare them with finite differences.

namespace carat {

/// x * (mean(x^2) + epsilon)^(-1/2) [* weight], over the last extent, in float32. `weight` may be undefined.
/// With r the reciprocal root and g = dy * weight: dx = r * (g - xhat * mean(g * xhat)), dweight = sum dy * xhat.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// Rotary embedding over the last extent, half-split pairing. `x` is [..., T, width], `cosine` and `sine` are
/// [T, width / 2]. The gradient is rotated by the opposite angle.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

/// x weight^T with `weight` [out, in], computed in `precision` (float32 or bfloat16), float32 in and out.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, at::ScalarType precision);

}  // namespace carat
