#pragma once

#include <cstdint>

namespace carat {

/// Elements that share one scale in Q4_0.
inline constexpr int kQ4_0Elements = 32;

/// One Q4_0 block: 32 values in 18 bytes (4.5 bits a value), as GGUF stores it (ggml: src/ggml-common.h).
///
///     byte   0    1    2           3           ...  17
///            d (f16)   e16 | e0    e17 | e1    ...  e31 | e15        high nibble | low nibble
///
/// value i = (nibble i - 8) * d, with d the float value of the binary16 scale.
struct BlockQ4_0 {
  uint16_t scale;
  uint8_t nibbles[kQ4_0Elements / 2];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

}  // namespace carat
