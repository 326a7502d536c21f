#pragma once

// How AVX2 unpacks rows of super-blocks: each of the eight pieces of 32 columns has one group's scale, or two groups'
// scales. See avx2_rows.h.

#include "kernels/avx2_rows.h"
#include "tensor/super_block.h"

namespace carat {
namespace {

/// The bits of each of 32 bytes from `shift` on, those of `mask`. What crosses from byte to byte is masked away.
__m256i bits_of_bytes(const std::byte* p, int shift, char mask) {
  const __m256i shifted = _mm256_srl_epi16(load_32_bytes(p), _mm_cvtsi32_si128(shift));
  return _mm256_and_si256(shifted, _mm256_set1_epi8(mask));
}

/// Pairs of bits: four pieces share 32 bytes.
__m256i pairs_of_piece(const std::byte* pairs, int piece) {
  return bits_of_bytes(pairs + piece / 4 * kPiece, 2 * (piece % 4), 3);
}

/// Single bits: all eight pieces share 32 bytes.
__m256i bits_of_piece(const std::byte* bits, int piece) { return bits_of_bytes(bits, piece, 1); }

/// Nibbles of Q4_K and Q5_K: two pieces share 32 bytes.
__m256i nibbles_of_piece(const std::byte* nibbles, int piece) {
  return bits_of_bytes(nibbles + piece / 2 * kPiece, 4 * (piece % 2), 0xf);
}

int byte_at(const std::byte* p, int index) { return static_cast<int>(p[index]); }

/// Multiplies the first half of a piece by one scale, the second half by another.
void scale_halves(float first, float second, __m256 (&w)[kVectors]) {
  w[0] = _mm256_mul_ps(w[0], _mm256_set1_ps(first));
  w[1] = _mm256_mul_ps(w[1], _mm256_set1_ps(first));
  w[2] = _mm256_mul_ps(w[2], _mm256_set1_ps(second));
  w[3] = _mm256_mul_ps(w[3], _mm256_set1_ps(second));
}

struct Q2_KRow : Blocks<BlockQ2_K> {
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    const float scale = load_f16(p + offsetof(BlockQ2_K, scale));
    const float minimum_scale = load_f16(p + offsetof(BlockQ2_K, minimum_scale));
    floats_of_signed_bytes(pairs_of_piece(p + offsetof(BlockQ2_K, pairs), piece), w);
    for (int half = 0; half < 2; ++half) {
      const int group = byte_at(p, 2 * piece + half);
      const __m256 group_scale = _mm256_set1_ps(scale * static_cast<float>(group & 0xf));
      const __m256 minimum = _mm256_set1_ps(minimum_scale * static_cast<float>(group >> 4));
      w[2 * half] = _mm256_fmsub_ps(w[2 * half], group_scale, minimum);
      w[2 * half + 1] = _mm256_fmsub_ps(w[2 * half + 1], group_scale, minimum);
    }
    return _mm256_set1_ps(1.0f);
  }
};

struct Q3_KRow : Blocks<BlockQ3_K> {
  static float group_scale(const std::byte* scales, int group) {
    const int low = (byte_at(scales, group % 8) >> (4 * (group / 8))) & 0xf;
    const int high = (byte_at(scales, 8 + group % 4) >> (2 * (group / 4))) & 3;
    return static_cast<float>((low | high << 4) - 32);
  }
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    const __m256i low = pairs_of_piece(p + offsetof(BlockQ3_K, pairs), piece);
    const __m256i high = _mm256_slli_epi16(bits_of_piece(p + offsetof(BlockQ3_K, third_bits), piece), 2);
    floats_of_signed_bytes(_mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(4)), w);
    const float scale = load_f16(p + offsetof(BlockQ3_K, scale));
    const std::byte* scales = p + offsetof(BlockQ3_K, scales);
    scale_halves(scale * group_scale(scales, 2 * piece), scale * group_scale(scales, 2 * piece + 1), w);
    return _mm256_set1_ps(1.0f);
  }
};

/// w = w * d * s - dmin * m, for blocks that begin with d, dmin and twelve bytes of six-bit s and m. Inlined always,
/// for a call would take w through memory.
[[gnu::always_inline]] inline void scale_less_minimum(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
  const std::byte* scales = p + offsetof(BlockQ4_K, scales);
  const int early = piece % 4;  // group `early` has six bits in one place; group 4 + early keeps its high ones there
  const int first = byte_at(scales, early), second = byte_at(scales, 4 + early), last = byte_at(scales, 8 + early);
  const int scale = piece < 4 ? first & 0x3f : (last & 0xf) | first >> 6 << 4;
  const int minimum = piece < 4 ? second & 0x3f : last >> 4 | second >> 6 << 4;
  const __m256 scales_of_all = _mm256_set1_ps(load_f16(p) * static_cast<float>(scale));
  const float minimum_scale = load_f16(p + offsetof(BlockQ4_K, minimum_scale));
  const __m256 minimum_of_all = _mm256_set1_ps(minimum_scale * static_cast<float>(minimum));
  for (__m256& vector : w) vector = _mm256_fmsub_ps(vector, scales_of_all, minimum_of_all);
}

struct Q4_KRow : Blocks<BlockQ4_K> {
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    floats_of_signed_bytes(nibbles_of_piece(p + offsetof(BlockQ4_K, nibbles), piece), w);
    scale_less_minimum(p, piece, w);
    return _mm256_set1_ps(1.0f);
  }
};

struct Q5_KRow : Blocks<BlockQ5_K> {
  static_assert(offsetof(BlockQ5_K, scales) == offsetof(BlockQ4_K, scales));
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    const __m256i nibbles = nibbles_of_piece(p + offsetof(BlockQ5_K, nibbles), piece);
    const __m256i high = _mm256_slli_epi16(bits_of_piece(p + offsetof(BlockQ5_K, fifth_bits), piece), 4);
    floats_of_signed_bytes(_mm256_or_si256(nibbles, high), w);
    scale_less_minimum(p, piece, w);
    return _mm256_set1_ps(1.0f);
  }
};

struct Q6_KRow : Blocks<BlockQ6_K> {
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    // Pieces 0 and 2 of a half share 32 bytes of nibbles, 1 and 3 the next 32.
    const std::byte* nibbles = p + offsetof(BlockQ6_K, nibbles) + (piece / 4 * 2 + piece % 2) * kPiece;
    const __m256i low = bits_of_bytes(nibbles, piece % 4 / 2 * 4, 0xf);
    const __m256i high = _mm256_slli_epi16(pairs_of_piece(p + offsetof(BlockQ6_K, pairs), piece), 4);
    floats_of_signed_bytes(_mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32)), w);
    const float scale = load_f16(p + offsetof(BlockQ6_K, scale));
    const std::byte* scales = p + offsetof(BlockQ6_K, scales) + 2 * piece;
    scale_halves(scale * static_cast<float>(static_cast<int8_t>(scales[0])),
                 scale * static_cast<float>(static_cast<int8_t>(scales[1])), w);
    return _mm256_set1_ps(1.0f);
  }
};

struct TQ2_0Row : Blocks<BlockTQ2_0> {
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    const __m256i codes = pairs_of_piece(p + offsetof(BlockTQ2_0, pairs), piece);
    floats_of_signed_bytes(_mm256_sub_epi8(codes, _mm256_set1_epi8(1)), w);
    return broadcast_f16(p + offsetof(BlockTQ2_0, scale));
  }
};

}  // namespace
}  // namespace carat
