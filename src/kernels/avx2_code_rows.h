#pragma once

// How AVX2 unpacks rows of integer codes to floats. See avx2_rows.h.

#include "kernels/avx2_rows.h"

namespace carat {
namespace {

struct I8Row : SingleNumbers {
  static constexpr int kBytes = kPiece;
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    floats_of_signed_bytes(load_32_bytes(p), w);
    return _mm256_set1_ps(1.0f);
  }
};

/// Two codes a byte, the first one in the low nibble. `kFlipped` turns the stored bits into code + 8.
template <unsigned char kFlipped>
struct NibbleRow : SingleNumbers {
  static constexpr int kBytes = kPiece / 2;
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    const __m128i both = _mm_xor_si128(load_16_bytes(p), _mm_set1_epi8(static_cast<char>(kFlipped)));
    const __m128i mask = _mm_set1_epi8(0xf);
    const __m128i even = _mm_and_si128(both, mask), odd = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
    const __m256i codes = _mm256_set_m128i(_mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd));
    floats_of_signed_bytes(_mm256_sub_epi8(codes, _mm256_set1_epi8(8)), w);
    return _mm256_set1_ps(1.0f);
  }
};

using I4Row = NibbleRow<0>;
using S4Row = NibbleRow<0x88>;

/// Four codes a byte, the first one in the lowest bits. `kFlipped` turns the stored bits into code + 2.
template <unsigned char kFlipped>
struct PairRow : SingleNumbers {
  static constexpr int kBytes = kPiece / 4;
  static __m256 load(const std::byte* p, int, __m256 (&w)[kVectors]) {
    const __m256i place = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    for (int v = 0; v < kVectors; ++v) {
      uint16_t eight_pairs;
      __builtin_memcpy(&eight_pairs, p + v * sizeof(eight_pairs), sizeof(eight_pairs));
      const __m256i all = _mm256_set1_epi32(eight_pairs ^ (kFlipped << 8 | kFlipped));
      const __m256i codes = _mm256_and_si256(_mm256_srlv_epi32(all, place), _mm256_set1_epi32(3));
      w[v] = _mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(2)));
    }
    return _mm256_set1_ps(1.0f);
  }
};

using I2Row = PairRow<0>;
using S2Row = PairRow<0xaa>;

}  // namespace
}  // namespace carat
