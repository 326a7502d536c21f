#pragma once

#include <ATen/ATen.h>

#include "tensor/dtype.h"

namespace carat {

/// The values of `weight` after storing it on the lattice `dtype`: equal bit for bit to `snap` of src/lattice
/// on every device. `weight` is float32 of any shape whose last extent is a whole number of blocks.
///
/// On the CPU this is `snap` itself. Elsewhere it is the same rule in tensor operations, each of which is one
/// correctly rounded float32 operation.
at::Tensor snap_tensor(const at::Tensor& weight, DType dtype);

/// The rule in tensor operations, for devices whose memory `snap` cannot reach; public so that a test can
/// compare both on the CPU.
at::Tensor snap_with_tensor_operations(const at::Tensor& weight, DType dtype);

/// `snap_tensor` in the forward pass, the identity in the backward pass (straight-through estimator).
at::Tensor fake_quantize(const at::Tensor& weight, DType dtype);

}  // namespace carat
