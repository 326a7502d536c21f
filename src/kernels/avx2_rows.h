#pragma once

// How AVX2 unpacks stored rows, 32 columns at a time: the types of single numbers and of small blocks. For avx2_dot.cc
// alone, which says why all of it is in the anonymous namespace.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tensor/block.h"

namespace carat {
namespace {

constexpr int kLanes = 8;
constexpr int kVectors = 4;
constexpr int kPiece = kLanes * kVectors;  // columns that are unpacked at a time

// Each stored type is a struct like these. `load` gives piece `piece` of the block at `p` as four vectors of floats, to
// be multiplied by the scale that it returns. That product is the exact value.

/// A type of single numbers: 32 of them are treated as a block, and the last ones of a row may be fewer.
struct SingleNumbers {
  static constexpr bool kAnyLength = true;
  static constexpr int kPieces = 1;
};

template <typename Block>
struct Blocks {
  static constexpr bool kAnyLength = false;
  static constexpr int kPieces = Block::kElements / kPiece;
  static constexpr int kBytes = sizeof(Block);
};

__m128i load_16_bytes(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
__m256i load_32_bytes(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

float load_f16(const std::byte* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return _cvtsh_ss(bits);
}

__m256 broadcast_f16(const std::byte* p) { return _mm256_set1_ps(load_f16(p)); }

void floats_of_signed_bytes(__m256i bytes, __m256 (&w)[kVectors]) {
  const __m128i low = _mm256_castsi256_si128(bytes), high = _mm256_extracti128_si256(bytes, 1);
  w[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low));
  w[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(low, kLanes)));
  w[2] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high));
  w[3] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(high, kLanes)));
}

/// 32 bytes of 0 to 15 from 16: the low nibbles, then the high ones.
__m256i nibbles_in_halves(const std::byte* p) {
  const __m128i both = load_16_bytes(p);
  return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), _mm256_set1_epi8(0xf));
}

/// 32 bytes of 0 or 16 from 32 bits.
__m256i sixteen_where_set(const std::byte* p) {
  uint32_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  const __m256i byte_of_each = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of_each = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), byte_of_each);
  const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of_each), bit_of_each);
  return _mm256_and_si256(is_set, _mm256_set1_epi8(16));
}

/// w = w * scale + minimum; the product is exact.
void scale_and_add(__m256 scale, __m256 minimum, __m256 (&w)[kVectors]) {
  for (__m256& vector : w) vector = _mm256_fmadd_ps(vector, scale, minimum);
}

struct F32Row : SingleNumbers {
  static constexpr int kBytes = kPiece * 4;
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    for (int v = 0; v < kVectors; ++v) w[v] = _mm256_loadu_ps(reinterpret_cast<const float*>(p) + v * kLanes);
    return _mm256_set1_ps(1.0f);
  }
};

struct F16Row : SingleNumbers {
  static constexpr int kBytes = kPiece * 2;
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    for (int v = 0; v < kVectors; ++v) w[v] = _mm256_cvtph_ps(load_16_bytes(p + v * 2 * kLanes));
    return _mm256_set1_ps(1.0f);
  }
};

struct BF16Row : SingleNumbers {
  static constexpr int kBytes = kPiece * 2;
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    for (int v = 0; v < kVectors; ++v) {
      const __m256i halves = _mm256_cvtepu16_epi32(load_16_bytes(p + v * 2 * kLanes));
      w[v] = _mm256_castsi256_ps(_mm256_slli_epi32(halves, 16));
    }
    return _mm256_set1_ps(1.0f);
  }
};

struct Q4_0Row : Blocks<BlockQ4_0> {
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    const __m256i codes = nibbles_in_halves(p + offsetof(BlockQ4_0, nibbles));
    floats_of_signed_bytes(_mm256_sub_epi8(codes, _mm256_set1_epi8(8)), w);
    return broadcast_f16(p);
  }
};

struct Q4_1Row : Blocks<BlockQ4_1> {
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    floats_of_signed_bytes(nibbles_in_halves(p + offsetof(BlockQ4_1, nibbles)), w);
    scale_and_add(broadcast_f16(p), broadcast_f16(p + offsetof(BlockQ4_1, minimum)), w);
    return _mm256_set1_ps(1.0f);
  }
};

struct Q5_0Row : Blocks<BlockQ5_0> {
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    const __m256i nibbles = nibbles_in_halves(p + offsetof(BlockQ5_0, nibbles));
    const __m256i codes = _mm256_or_si256(nibbles, sixteen_where_set(p + offsetof(BlockQ5_0, fifth_bits)));
    floats_of_signed_bytes(_mm256_sub_epi8(codes, _mm256_set1_epi8(16)), w);
    return broadcast_f16(p);
  }
};

struct Q5_1Row : Blocks<BlockQ5_1> {
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    const __m256i nibbles = nibbles_in_halves(p + offsetof(BlockQ5_1, nibbles));
    floats_of_signed_bytes(_mm256_or_si256(nibbles, sixteen_where_set(p + offsetof(BlockQ5_1, fifth_bits))), w);
    scale_and_add(broadcast_f16(p), broadcast_f16(p + offsetof(BlockQ5_1, minimum)), w);
    return _mm256_set1_ps(1.0f);
  }
};

struct Q8_0Row : Blocks<BlockQ8_0> {
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    floats_of_signed_bytes(load_32_bytes(p + offsetof(BlockQ8_0, codes)), w);
    return broadcast_f16(p);
  }
};

struct Q2_0Row : Blocks<BlockQ2_0> {
  static __m256 load(const std::byte* p, int piece, __m256 (&w)[kVectors]) {
    const std::byte* pairs = p + offsetof(BlockQ2_0, pairs) + piece * kPiece / 4;
    const __m256i place = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    for (int v = 0; v < kVectors; ++v) {
      uint16_t eight_pairs;
      __builtin_memcpy(&eight_pairs, pairs + v * sizeof(eight_pairs), sizeof(eight_pairs));
      const __m256i shifted = _mm256_srlv_epi32(_mm256_set1_epi32(eight_pairs), place);
      const __m256i codes = _mm256_and_si256(shifted, _mm256_set1_epi32(3));
      w[v] = _mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(1)));
    }
    return broadcast_f16(p);
  }
};

}  // namespace
}  // namespace carat
