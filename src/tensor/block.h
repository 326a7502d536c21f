#pragma once

#include <cstdint>

/// Small blocks: values that share one scale, as GGUF stores them (ggml: src/ggml-common.h). All are little-endian and
/// without padding. `scale` and `minimum` are binary16; a product of a scale and a code is exact in float32.

namespace carat {

/// Elements that share one scale in Q4_0.
inline constexpr int kQ4_0Elements = 32;

/// One Q4_0 block: 32 values in 18 bytes (4.5 bits a value).
///
///     byte   0    1    2           3           ...  17
///            d (f16)   e16 | e0    e17 | e1    ...  e31 | e15        high nibble | low nibble
///
/// value i = (nibble i - 8) * d, with d the float value of the binary16 scale.
struct BlockQ4_0 {
  static constexpr int kElements = kQ4_0Elements;
  uint16_t scale;
  uint8_t nibbles[kElements / 2];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

/// One Q4_1 block: 32 values in 20 bytes (5 bits a value).
///
///     byte   0    1    2    3    4           5           ...  19
///            d (f16)   m (f16)   e16 | e0    e17 | e1    ...  e31 | e15
///
/// value i = nibble i * d + m.
struct BlockQ4_1 {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint16_t minimum;
  uint8_t nibbles[kElements / 2];
};
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 2);

/// One Q5_0 block: 32 values in 22 bytes (5.5 bits a value).
///
///     byte   0    1    2           3            ...  5              6           7           ...  21
///            d (f16)   h7 ... h0   h15 ... h8   ...  h31 ... h24    e16 | e0    e17 | e1    ...  e31 | e15
///
/// value i = (nibble i + 16 * h i - 16) * d.
struct BlockQ5_0 {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint8_t fifth_bits[kElements / 8];
  uint8_t nibbles[kElements / 2];
};
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 2);

/// One Q5_1 block: 32 values in 24 bytes (6 bits a value): a Q5_0 block with a minimum (f16) in bytes 2 and 3, before
/// the fifth bits.
///
/// value i = (nibble i + 16 * h i) * d + m.
struct BlockQ5_1 {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint16_t minimum;
  uint8_t fifth_bits[kElements / 8];
  uint8_t nibbles[kElements / 2];
};
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 2);

/// One Q8_0 block: 32 values in 34 bytes (8.5 bits a value).
///
///     byte   0    1    2    3    ...  33
///            d (f16)   e0   e1   ...  e31        signed bytes
///
/// value i = e i * d.
struct BlockQ8_0 {
  static constexpr int kElements = 32;
  uint16_t scale;
  int8_t codes[kElements];
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

/// One Q2_0 block: 64 values in 18 bytes (2.25 bits a value).
///
///     byte   0    1    2                   3                   ...  17
///            d (f16)   e3 | e2 | e1 | e0   e7 | e6 | e5 | e4   ...  e63 | e62 | e61 | e60
///
/// value i = (e i - 1) * d: -d, 0, d or 2d.
struct BlockQ2_0 {
  static constexpr int kElements = 64;
  uint16_t scale;
  uint8_t pairs[kElements / 4];
};
static_assert(sizeof(BlockQ2_0) == 18 && alignof(BlockQ2_0) == 2);

}  // namespace carat
