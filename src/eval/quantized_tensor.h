#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/threads.h"
#include "formats/named_tensor.h"
#include "lattice/scheme.h"

namespace carat {

/// A matrix of a checkpoint on another lattice, in memory.
struct QuantizedTensor {
  DType dtype = DType::kF32;
  Shape shape;
  int64_t groups = 0;             ///< scales of a row; 0 when the lattice needs none beside it
  std::vector<std::byte> data;    ///< blocks, codes or floats
  std::vector<std::byte> scales;  ///< F32, of codes

  /// Values that changed. What a checkpoint of F16 or BF16 holds is the lattice's value rounded to that type; such a
  /// value has not changed.
  uint64_t moved = 0;
  double relative_error = 0;  ///< root of sum (w' - w)^2 / sum w^2; 0 when nothing moved

  /// Valid as long as this is where it is.
  TensorView view() const;
};

/// Whether the rows of a matrix of this shape can lie on a lattice that can be encoded, or on integer codes of which
/// `group` share a scale.
bool fits_rows(const Shape& shape, DType lattice, int64_t group);

/// Puts `tensor` on a lattice for which `fits_rows`. Groups that lie on it already keep their values, the others go
/// where `encode` takes them, or `searched_scale` and `encode_codes`. Refuses a value that is not finite. The result
/// does not depend on the number of threads.
Result<QuantizedTensor> quantize_tensor(const NamedTensor& tensor, DType lattice, int64_t group, ThreadPool& threads);

}  // namespace carat
