#include "lattice/super_blocks.h"

#include "tensor/float_formats.h"

namespace carat {
namespace {

/// Pair i: values 32 apart share a byte, 128 values take 32 bytes.
int pair(const uint8_t* pairs, int i) { return (pairs[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32))) & 3; }

/// Nibble i where values `apart` apart share a byte.
int nibble(const uint8_t* nibbles, int i, int apart) {
  const int within = i % (2 * apart);
  const int byte = nibbles[i / (2 * apart) * apart + within % apart];
  return within < apart ? byte & 0xf : byte >> 4;
}

/// Bit i where byte l has the bits of values l, 32 + l, ... 224 + l.
int bit(const uint8_t* bits, int i) { return (bits[i % 32] >> (i / 32)) & 1; }

int q3_k_scale(const uint8_t (&scales)[12], int group) {
  const int low = group < 8 ? scales[group] & 0xf : scales[group - 8] >> 4;
  const int high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;
  return (low | high << 4) - 32;
}

/// The six-bit numbers of Q4_K and Q5_K: the scales with `first` 0, the minima with `first` 4.
int six_bits(const uint8_t (&scales)[12], int group, int first) {
  if (group < 4) return scales[first + group] & 0x3f;
  const int shared = scales[4 + group];
  return (first == 0 ? shared & 0xf : shared >> 4) | scales[first + group - 4] >> 6 << 4;
}

/// d * s * code - dmin * m; the products are exact.
float scaled_less_minimum(float scale, int group_scale, int code, float minimum_scale, int group_minimum) {
  const float product = scale * static_cast<float>(group_scale) * static_cast<float>(code);
  return product - minimum_scale * static_cast<float>(group_minimum);
}

float scaled(float scale, int group_scale, int code) {
  return scale * static_cast<float>(group_scale) * static_cast<float>(code);
}

}  // namespace

void decode_q2_k(const BlockQ2_K& block, SuperBlockValues values) {
  const float scale = float_from_f16(block.scale), minimum_scale = float_from_f16(block.minimum_scale);
  for (int i = 0; i < kSuperBlockElements; ++i) {
    const int group = block.scales[i / 16];
    values[i] = scaled_less_minimum(scale, group & 0xf, pair(block.pairs, i), minimum_scale, group >> 4);
  }
}

void decode_q3_k(const BlockQ3_K& block, SuperBlockValues values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < kSuperBlockElements; ++i) {
    const int code = pair(block.pairs, i) + 4 * bit(block.third_bits, i) - 4;
    values[i] = scaled(scale, q3_k_scale(block.scales, i / 16), code);
  }
}

void decode_q4_k(const BlockQ4_K& block, SuperBlockValues values) {
  const float scale = float_from_f16(block.scale), minimum_scale = float_from_f16(block.minimum_scale);
  for (int i = 0; i < kSuperBlockElements; ++i) {
    values[i] = scaled_less_minimum(scale, six_bits(block.scales, i / 32, 0), nibble(block.nibbles, i, 32),
                                    minimum_scale, six_bits(block.scales, i / 32, 4));
  }
}

void decode_q5_k(const BlockQ5_K& block, SuperBlockValues values) {
  const float scale = float_from_f16(block.scale), minimum_scale = float_from_f16(block.minimum_scale);
  for (int i = 0; i < kSuperBlockElements; ++i) {
    const int code = nibble(block.nibbles, i, 32) + 16 * bit(block.fifth_bits, i);
    values[i] = scaled_less_minimum(scale, six_bits(block.scales, i / 32, 0), code, minimum_scale,
                                    six_bits(block.scales, i / 32, 4));
  }
}

void decode_q6_k(const BlockQ6_K& block, SuperBlockValues values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < kSuperBlockElements; ++i) {
    const int code = nibble(block.nibbles, i, 64) + 16 * pair(block.pairs, i) - 32;
    values[i] = scaled(scale, block.scales[i / 16], code);
  }
}

void decode_tq2_0(const BlockTQ2_0& block, SuperBlockValues values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < kSuperBlockElements; ++i) values[i] = static_cast<float>(pair(block.pairs, i) - 1) * scale;
}

}  // namespace carat
