#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace carat {

/// Keys and values of one layer, as attention reads them. Position p lies in row p % capacity of both arrays, a row
/// being [K, width] values stored as `type`; a ring for a sliding layer holds at least W + T - 1 rows when T tokens are
/// fed at once. The view owns nothing.
///
/// Where `keys` is null they are made from the values again: the key of position p is its value times `key_norm`, with
/// the first `rotated_pairs` pairs turned by row p of `rotations`. Such a store is no ring.
struct KeyValueView {
  DType type = DType::kF32;           ///< whole blocks in each head
  const std::byte* keys = nullptr;    ///< [capacity, K, width], after norm and rope
  const std::byte* values = nullptr;  ///< [capacity, K, width]
  int64_t capacity = 0;
  float key_scale = 0.0f;            ///< of I8: a value is code * scale, rounded to float32
  float value_scale = 0.0f;          ///< the same
  std::span<const uint8_t> faults;   ///< by row; one that is there and not 0 stands for a row of NaNs
  int64_t kv_heads = 0;              ///< K, a divisor of H
  int64_t width = 0;                 ///< of one head
  const float* key_norm = nullptr;   ///< [width]
  const float* rotations = nullptr;  ///< [capacity, rotated_pairs, 2], cosines and sines
  int64_t rotated_pairs = 0;         ///< at most width / 2
};

/// The queries of one call.
struct AttentionShape {
  int64_t T = 0;
  int64_t heads = 0;           ///< H
  int64_t first_position = 0;  ///< of token 0
  int64_t window = 0;          ///< a token sees this many keys, its own included; 0: all up to its own
};

/// Floats of scratch memory for `rows` tokens' queries. More than there are tokens lets more threads share a call.
constexpr int64_t attention_scratch(int64_t rows, int64_t heads, int64_t width) { return rows * heads * (width + 4); }

}  // namespace carat
