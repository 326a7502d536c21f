#pragma once

#include <string>

#include "tensor/tensor.h"

namespace carat {

/// Name, type and shape of a tensor, without its values.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

/// A tensor of a file; the values lie in the mapped file.
struct NamedTensor {
  std::string name;
  TensorView view;
};

}  // namespace carat
