#pragma once

#include <string>

#include "tensor/tensor.h"

namespace carat {

/// Name, type and shape of a tensor, without its values.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t scale_groups = 0;         ///< of integer codes, see `ScaleView`
  DType scale_dtype = DType::kF32;  ///< F32 or BF16
};

/// The scales of a tensor of integer codes, as a tensor [rows, groups] of its own: its name is the other's with
/// `_scale`.
TensorSpec scales_of(const TensorSpec& codes);

/// A tensor of a file; the values lie in the mapped file.
struct NamedTensor {
  std::string name;
  TensorView view;
};

}  // namespace carat
