#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "tensor/dtype.h"

namespace carat {

/// Row-major extents, slowest first: a linear layer's weight is [out, in].
using Shape = std::vector<int64_t>;

/// "[2048, 1536]".
std::string shape_text(const Shape& shape);

/// Product of the extents, or nothing when an extent is negative or the product does not fit in 63 bits.
std::optional<int64_t> element_count(const Shape& shape);

/// Bytes that a tensor of this type and shape takes, or nothing when the last extent is no whole number of
/// blocks or the size does not fit.
std::optional<uint64_t> tensor_bytes(DType dtype, const Shape& shape);

/// Whether a number can be a scale: positive and finite.
bool is_scale(float value);

/// The same for scales that may be negative too: finite and not zero.
bool is_signed_scale(float value);

/// The scales of integer codes: [rows, groups], each for columns / groups neighbouring codes of a row, all of them
/// `is_signed_scale`. A value is code * scale, rounded to float32. Most formats have positive scales alone; where codes
/// reach as far as 8 steps to the positive side, which the lowest code -8 alone does, only a negative scale holds them.
struct ScaleView {
  DType dtype = DType::kF32;  ///< F32 or BF16
  int64_t groups = 0;         ///< a divisor of the columns; 0 where the tensor's type needs no scales beside it
  Bytes data;

  /// The scale of one group of one row.
  float at(int64_t row, int64_t group) const;
};

/// A tensor that lies in somebody else's memory, usually a mapped file.
struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  Bytes data;
  ScaleView scales = {};  ///< of integer codes

  /// The last extent: values in a row. A tensor without extents has one row of one value.
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;
  Bytes row(int64_t index) const;
};

}  // namespace carat
