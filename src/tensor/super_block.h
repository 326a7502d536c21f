#pragma once

#include <cstdint>

/// Super-blocks: 256 values in groups of 16 or 32, each group with a small integer scale of its own, as GGUF stores
/// them (ggml: src/ggml-common.h). `scale` and `minimum_scale` are binary16. A product of the scales and a code is
/// exact in float32, so that a value is rounded at most once: where a minimum is subtracted.

namespace carat {

inline constexpr int kSuperBlockElements = 256;

/// One Q2_K block: 84 bytes (2.625 bits a value), 16 groups of 16 values.
///
///     byte   0         1         ...  15          16 ... 79   80   81   82      83
///            m0 | s0   m1 | s1   ...  m15 | s15   pairs       d (f16)   dmin (f16)        high nibble | low nibble
///
///     byte 32 h + l of the pairs, l < 32:   e(128 h + 96 + l) | e(128 h + 64 + l) | e(128 h + 32 + l) | e(128 h + l)
///
/// value i = d * s(i / 16) * e i - dmin * m(i / 16).
struct BlockQ2_K {
  static constexpr int kElements = kSuperBlockElements;
  uint8_t scales[kElements / 16];
  uint8_t pairs[kElements / 4];
  uint16_t scale;
  uint16_t minimum_scale;
};
static_assert(sizeof(BlockQ2_K) == 84 && alignof(BlockQ2_K) == 2);

/// One Q3_K block: 110 bytes (3.4375 bits a value), 16 groups of 16 values.
///
///     byte   0 ... 31     32 ... 95   96 ... 107   108  109
///            third bits   pairs       scales       d (f16)
///
///     byte l of the third bits:   t(224 + l) ... t(32 + l) t(l)       bit 7 to bit 0: values 32 apart
///     the pairs:                  as in Q2_K
///     byte j of the scales, j < 8:    low four bits of s(8 + j) | low four bits of s(j)
///     byte 8 + j, j < 4:              high two bits of s(12 + j) | s(8 + j) | s(4 + j) | s(j)
///
/// value i = d * (s(i / 16) - 32) * (e i + 4 * t i - 4).
struct BlockQ3_K {
  static constexpr int kElements = kSuperBlockElements;
  uint8_t third_bits[kElements / 8];
  uint8_t pairs[kElements / 4];
  uint8_t scales[12];
  uint16_t scale;
};
static_assert(sizeof(BlockQ3_K) == 110 && alignof(BlockQ3_K) == 2);

/// One Q4_K block: 144 bytes (4.5 bits a value), 8 groups of 32 values.
///
///     byte   0    1    2      3      4 ... 15   16 ... 143
///            d (f16)   dmin (f16)    scales     nibbles
///
///     byte j of the scales, j < 4:   high two bits of s(4 + j) | s(j)                    2 and 6 bits
///     byte 4 + j:                    high two bits of m(4 + j) | m(j)
///     byte 8 + j:                    low four bits of m(4 + j) | of s(4 + j)
///     byte 32 h + l of the nibbles, l < 32:   e(64 h + 32 + l) | e(64 h + l)
///
/// value i = d * s(i / 32) * e i - dmin * m(i / 32).
struct BlockQ4_K {
  static constexpr int kElements = kSuperBlockElements;
  uint16_t scale;
  uint16_t minimum_scale;
  uint8_t scales[12];
  uint8_t nibbles[kElements / 2];
};
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 2);

/// One Q5_K block: 176 bytes (5.5 bits a value), 8 groups of 32 values: a Q4_K block with fifth bits in bytes 16 to 47,
/// before the nibbles. Byte l of them: f(224 + l) ... f(32 + l) f(l), bit 7 to bit 0.
///
/// value i = d * s(i / 32) * (e i + 16 * f i) - dmin * m(i / 32).
struct BlockQ5_K {
  static constexpr int kElements = kSuperBlockElements;
  uint16_t scale;
  uint16_t minimum_scale;
  uint8_t scales[12];
  uint8_t fifth_bits[kElements / 8];
  uint8_t nibbles[kElements / 2];
};
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 2);

/// One Q6_K block: 210 bytes (6.5625 bits a value), 16 groups of 16 values.
///
///     byte   0 ... 127   128 ... 191   192 ... 207         208  209
///            nibbles     pairs         s0 ... s15 (int8)   d (f16)
///
///     byte 64 h + l of the nibbles, l < 64:   e(128 h + 64 + l) | e(128 h + l)
///     the pairs p:                            as in Q2_K
///
/// value i = d * s(i / 16) * (e i + 16 * p i - 32).
struct BlockQ6_K {
  static constexpr int kElements = kSuperBlockElements;
  uint8_t nibbles[kElements / 2];
  uint8_t pairs[kElements / 4];
  int8_t scales[kElements / 16];
  uint16_t scale;
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 2);

/// One TQ2_0 block: 66 bytes (2.0625 bits a value), all of one scale.
///
///     byte   0 ... 63            64   65
///            pairs, as in Q2_K   d (f16)
///
/// value i = (e i - 1) * d: -d, 0, d or 2d.
struct BlockTQ2_0 {
  static constexpr int kElements = kSuperBlockElements;
  uint8_t pairs[kElements / 4];
  uint16_t scale;
};
static_assert(sizeof(BlockTQ2_0) == 66 && alignof(BlockTQ2_0) == 2);

}  // namespace carat
