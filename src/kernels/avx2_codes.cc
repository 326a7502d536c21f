// Compiled with -mavx2 -mfma -mf16c, so nothing here may be seen by other files: an inline function of the standard
// library compiled with these flags could become the copy that the whole program uses. Hence no containers and no
// algorithms, and everything but what avx2_codes.h declares is in the anonymous namespace.

#include "kernels/avx2_codes.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>

namespace carat {
namespace {

constexpr int kVectorBytes = 32;
constexpr int kPlanes = kCodeBlock / kVectorBytes;  // vectors of 8-bit codes in a block

__m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
void store(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

int32_t sum_lanes(__m256i v) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

__m256i pairs_of_shorts(__m256i shorts) { return _mm256_madd_epi16(shorts, _mm256_set1_epi16(1)); }

// A packed byte holds neighbouring columns. Shifts and masks bring the first field of 32 bytes into one vector, the
// second ones into another. Activations are put in that order once, rather than weights in that of the columns often.

struct Natural {
  static void arrange(int8_t*) {}
};

/// 64 columns in 32 bytes: even columns, odd columns; twice.
struct Halves {
  static void arrange(int8_t* x) {
    const __m128i even_then_odd = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    const __m256i order = _mm256_broadcastsi128_si256(even_then_odd);
    for (int half = 0; half < 2; ++half, x += 2 * kVectorBytes) {
      const __m256i a = _mm256_shuffle_epi8(load(x), order), b = _mm256_shuffle_epi8(load(x + kVectorBytes), order);
      store(x, _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), 0xd8));
      store(x + kVectorBytes, _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a, b), 0xd8));
    }
  }
};

/// 128 columns in 32 bytes: the columns 0, 4, 8 ..., then 1, 5, 9 ..., and so on.
struct Quarters {
  static void arrange(int8_t* x) {
    const __m128i by_remainder = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i order = _mm256_broadcastsi128_si256(by_remainder);
    __m256i v[kPlanes];
    for (int k = 0; k < kPlanes; ++k) v[k] = _mm256_shuffle_epi8(load(x + k * kVectorBytes), order);
    const __m256i ab_low = _mm256_unpacklo_epi32(v[0], v[1]), ab_high = _mm256_unpackhi_epi32(v[0], v[1]);
    const __m256i cd_low = _mm256_unpacklo_epi32(v[2], v[3]), cd_high = _mm256_unpackhi_epi32(v[2], v[3]);
    const __m256i quarters[kPlanes] = {_mm256_unpacklo_epi64(ab_low, cd_low), _mm256_unpackhi_epi64(ab_low, cd_low),
                                       _mm256_unpacklo_epi64(ab_high, cd_high),
                                       _mm256_unpackhi_epi64(ab_high, cd_high)};
    const __m256i lanes_in_turn = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int k = 0; k < kPlanes; ++k) {
      store(x + k * kVectorBytes, _mm256_permutevar8x32_epi32(quarters[k], lanes_in_turn));
    }
  }
};

template <typename Order>
void lay_out_codes(int8_t* x, int64_t columns) {
  const int64_t blocks = columns_of_code_blocks(columns);
  for (int64_t c = columns; c < blocks; ++c) x[c] = 0;
  __m256i sum = _mm256_setzero_si256();
  for (int64_t c = 0; c < blocks; c += kVectorBytes) {
    sum = _mm256_add_epi32(sum, pairs_of_shorts(_mm256_maddubs_epi16(_mm256_set1_epi8(1), load(x + c))));
  }
  for (int64_t c = 0; c < blocks; c += kCodeBlock) Order::arrange(x + c);
  const int32_t total = sum_lanes(sum);
  __builtin_memcpy(x + blocks, &total, sizeof(total));
}

// Weights of less than 8 bits are multiplied as the unsigned field = code + kOffset, for which there is an instruction:
// sum of code * x = sum of field * x - kOffset * sum of x. It adds two neighbouring products to a 16-bit sum that
// saturates. A sum that has taken n products of a field is at most n * largest field * 128 in magnitude, so it takes
// 32767 / (largest field * 128) products, two from each vector, before it is widened: 85 of two bits, 17 of four.
// 32-bit sums may wrap around on the way; the last one fits.

__m256i shorts_of_bytes(const void* p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p))); }

/// Keeps the compiler from adding products in a tree, whose branches do not fit in the registers beside the sums.
[[gnu::always_inline]] inline void keep(__m256i& sum) { asm("" : "+x"(sum)); }

template <int kRows, int kX>
void clear(__m256i (&sums)[kRows][kX]) {
#pragma GCC unroll 4
  for (auto& row : sums) {
#pragma GCC unroll 4
    for (__m256i& sum : row) sum = _mm256_setzero_si256();
  }
}

/// Sums of kRows rows of weights with kX rows of codes.
template <int kRows, int kX>
using Sums = __m256i[kRows][kX];

struct I8Codes {
  static constexpr int kBytes = kCodeBlock;
  static constexpr int kOffset = 0;
  static constexpr int kMostBlocks = 1 << 20;

  /// sums[r][i] += products of `blocks` blocks of row r with row i of x.
  template <int kRows, int kX>
  static void add(const std::byte* row, int64_t row_stride, const int8_t* x, int64_t x_stride, int64_t blocks,
                  Sums<kRows, kX>& sums) {
    for (int64_t c = 0; c < blocks * kCodeBlock; c += kVectorBytes) {
      __m256i low[kRows], high[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        low[r] = shorts_of_bytes(row + r * row_stride + c);
        high[r] = shorts_of_bytes(row + r * row_stride + c + kVectorBytes / 2);
      }
#pragma GCC unroll 4
      for (int i = 0; i < kX; ++i) {
        const __m256i x_low = shorts_of_bytes(x + i * x_stride + c);
        const __m256i x_high = shorts_of_bytes(x + i * x_stride + c + kVectorBytes / 2);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          sums[r][i] = _mm256_add_epi32(sums[r][i], _mm256_madd_epi16(low[r], x_low));
          sums[r][i] = _mm256_add_epi32(sums[r][i], _mm256_madd_epi16(high[r], x_high));
        }
      }
    }
  }
};

/// With one row of x, memory is slower than arithmetic, and what the processor fetches by itself comes a little late.
/// The address may lie behind all weights: nothing is read then.
template <int kBytes, int kRows>
void fetch_ahead(const std::byte* row, int64_t row_stride) {
  constexpr uintptr_t kAhead = 512, kLine = 64;
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const uintptr_t ahead = reinterpret_cast<uintptr_t>(row) + static_cast<uintptr_t>(r * row_stride) + kAhead;
#pragma GCC unroll 2
    for (uintptr_t at = 0; at < kBytes; at += kLine) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead + at), _MM_HINT_T0);
    }
  }
}

/// Codes of which `Packed` gives the unsigned fields of a block, in kPlanes vectors.
template <typename Packed>
struct FieldCodes : Packed {
  static constexpr int kMostBlocks = 32767 / (Packed::kLargest * 128) / (2 * kPlanes);

  template <int kRows, int kX>
  static void add(const std::byte* row, int64_t row_stride, const int8_t* x, int64_t x_stride, int64_t blocks,
                  Sums<kRows, kX>& sums) {
    Sums<kRows, kX> shorts;
    clear<kRows, kX>(shorts);
    for (int64_t block = 0; block < blocks; ++block, row += Packed::kBytes, x += kCodeBlock) {
      if constexpr (kX == 1) fetch_ahead<Packed::kBytes, kRows>(row, row_stride);
#pragma GCC unroll 4
      for (int k = 0; k < kPlanes; ++k) {
        __m256i fields[kRows];
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) fields[r] = Packed::fields(row + r * row_stride, k);
#pragma GCC unroll 4
        for (int i = 0; i < kX; ++i) {
          const __m256i codes = load(x + i * x_stride + k * kVectorBytes);
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) {
            shorts[r][i] = _mm256_add_epi16(shorts[r][i], _mm256_maddubs_epi16(fields[r], codes));
            keep(shorts[r][i]);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int i = 0; i < kX; ++i) sums[r][i] = _mm256_add_epi32(sums[r][i], pairs_of_shorts(shorts[r][i]));
    }
  }
};

__m256i load_flipped(const std::byte* p, unsigned char flipped) {
  const __m256i stored = load(p);
  return flipped == 0 ? stored : _mm256_xor_si256(stored, _mm256_set1_epi8(static_cast<char>(flipped)));
}

/// `kFlipped` turns the stored bits into code + kOffset.
template <unsigned char kFlipped>
struct Nibbles {
  static constexpr int kBytes = kCodeBlock / 2;
  static constexpr int kOffset = 8;
  static constexpr int kLargest = 15;
  static __m256i fields(const std::byte* p, int plane) {
    const __m256i both = load_flipped(p + plane / 2 * kVectorBytes, kFlipped);
    return _mm256_and_si256(_mm256_srli_epi16(both, 4 * (plane % 2)), _mm256_set1_epi8(kLargest));
  }
};

template <unsigned char kFlipped>
struct Pairs {
  static constexpr int kBytes = kCodeBlock / 4;
  static constexpr int kOffset = 2;
  static constexpr int kLargest = 3;
  static __m256i fields(const std::byte* p, int plane) {
    return _mm256_and_si256(_mm256_srli_epi16(load_flipped(p, kFlipped), 2 * plane), _mm256_set1_epi8(kLargest));
  }
};

/// Product with the sum of a row's codes, which lie behind them; all in unsigned numbers, which wrap around.
uint32_t times_sum(uint32_t factor, const int8_t* sum_at) {
  uint32_t sum;
  __builtin_memcpy(&sum, sum_at, sizeof(sum));
  return factor * sum;
}

/// kRows rows of weights, `step` rows apart, with kX rows of x.
template <typename Codes, int kRows, int kX>
void tile_dot(const std::byte* rows, int64_t step, const int8_t* x, int64_t x_stride, int64_t columns,
              const float* factors, float* out, int64_t out_stride) {
  const int64_t row_stride = step * (columns * Codes::kBytes / kCodeBlock);
  Sums<kRows, kX> sums;
  clear<kRows, kX>(sums);
  const std::byte* block = rows;
  const int8_t* block_x = x;
  int64_t left = columns / kCodeBlock;
  while (left > 0) {
    const int64_t blocks = left < Codes::kMostBlocks ? left : Codes::kMostBlocks;
    Codes::template add<kRows, kX>(block, row_stride, block_x, x_stride, blocks, sums);
    block += blocks * Codes::kBytes;
    block_x += blocks * kCodeBlock;
    left -= blocks;
  }
  if (const int64_t rest = columns % kCodeBlock; rest > 0) {
    std::byte padded[kRows][Codes::kBytes] = {};
    for (int r = 0; r < kRows; ++r) {
      __builtin_memcpy(padded[r], block + r * row_stride, static_cast<size_t>(rest * Codes::kBytes / kCodeBlock));
    }
    Codes::template add<kRows, kX>(padded[0], Codes::kBytes, block_x, x_stride, 1, sums);
  }
  const int8_t* sum_at = x + columns_of_code_blocks(columns);
#pragma GCC unroll 4
  for (int i = 0; i < kX; ++i) {
    const uint32_t excess = times_sum(Codes::kOffset, sum_at + i * x_stride);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const auto total = static_cast<int32_t>(static_cast<uint32_t>(sum_lanes(sums[r][i])) - excess);
      out[i * out_stride + r * step] = static_cast<float>(total) * factors[r * step];
    }
  }
}

/// Weights [n_rows, columns] with kX rows of x. The rows of a tile are far apart, so that each of them belongs to a
/// long stream of bytes, which the processor fetches ahead; neighbouring rows of some hundred bytes would look like
/// leaps.
template <typename Codes, int kRows, int kX>
void tiles_dot(const std::byte* rows, int64_t n_rows, const int8_t* x, int64_t x_stride, int64_t columns,
               const float* factors, float* out, int64_t out_stride) {
  const int64_t row_stride = columns * Codes::kBytes / kCodeBlock;
  const int64_t step = n_rows / kRows;
  for (int64_t r = 0; r < step; ++r) {
    tile_dot<Codes, kRows, kX>(rows + r * row_stride, step, x, x_stride, columns, factors + r, out + r, out_stride);
  }
  for (int64_t r = step * kRows; r < n_rows; ++r) {
    tile_dot<Codes, 1, kX>(rows + r * row_stride, 1, x, x_stride, columns, factors + r, out + r, out_stride);
  }
}

template <typename Codes>
void codes_dot(const std::byte* rows, int64_t n_rows, const int8_t* x, int64_t x_stride, int64_t n_x, int64_t columns,
               const float* factors, float* out, int64_t out_stride) {
  // Two rows with four, or four with one: eight sums or four, and the other registers hold what is multiplied.
  constexpr int kX = 4;
  int64_t i = 0;
  for (; i + kX <= n_x; i += kX) {
    tiles_dot<Codes, 2, kX>(rows, n_rows, x + i * x_stride, x_stride, columns, factors, out + i * out_stride,
                            out_stride);
  }
  for (; i < n_x; ++i) {
    tiles_dot<Codes, 4, 1>(rows, n_rows, x + i * x_stride, x_stride, columns, factors, out + i * out_stride,
                           out_stride);
  }
}

constexpr int kLanes = 8;

/// Codes of eight quotients as 32-bit integers; NaN becomes one of them. The conversion rounds half to even, and
/// clamping before it equals clamping after it, for the bounds are integers.
__m256i codes_of(__m256 x, __m256 scale) {
  const __m256 quotient = _mm256_div_ps(x, scale);
  const __m256 above = _mm256_max_ps(quotient, _mm256_set1_ps(-128.0f));
  return _mm256_cvtps_epi32(_mm256_min_ps(above, _mm256_set1_ps(127.0f)));
}

__m256i bytes_of_codes(const float* x, __m256 scale, __m256& not_numbers) {
  __m256i codes[4];
  for (int v = 0; v < 4; ++v) {
    const __m256 values = _mm256_loadu_ps(x + v * kLanes);
    not_numbers = _mm256_or_ps(not_numbers, _mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    codes[v] = codes_of(values, scale);
  }
  // Packing works in each half of a vector, so four lanes of each source stay together.
  const __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(codes[0], codes[1]), _mm256_packs_epi32(codes[2], codes[3]));
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// The snapped values of eight; NaNs stay.
__m256 snapped(__m256 values, __m256 scale) {
  const __m256 moved = _mm256_mul_ps(_mm256_cvtepi32_ps(codes_of(values, scale)), scale);
  return _mm256_blendv_ps(moved, values, _mm256_cmp_ps(values, values, _CMP_UNORD_Q));
}

}  // namespace

const LayOutCodes kAvx2LayOutCodes[kCodeTypes] = {
    lay_out_codes<Natural>, lay_out_codes<Halves>,   lay_out_codes<Quarters>,
    lay_out_codes<Halves>,  lay_out_codes<Quarters>,
};

const CodesDot kAvx2CodesDot[kCodeTypes] = {
    codes_dot<I8Codes>,
    codes_dot<FieldCodes<Nibbles<0>>>,
    codes_dot<FieldCodes<Pairs<0>>>,
    codes_dot<FieldCodes<Nibbles<0x88>>>,
    codes_dot<FieldCodes<Pairs<0xaa>>>,
};

bool avx2_static_codes(const float* x, int64_t n, float scale, int8_t* out) {
  const __m256 scales = _mm256_set1_ps(scale);
  __m256 not_numbers = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + kVectorBytes <= n; i += kVectorBytes) store(out + i, bytes_of_codes(x + i, scales, not_numbers));
  if (i < n) {
    float padded_x[kVectorBytes] = {};
    int8_t padded_out[kVectorBytes];
    __builtin_memcpy(padded_x, x + i, static_cast<size_t>(n - i) * sizeof(float));
    store(padded_out, bytes_of_codes(padded_x, scales, not_numbers));
    __builtin_memcpy(out + i, padded_out, static_cast<size_t>(n - i));
  }
  return _mm256_movemask_ps(not_numbers) == 0;
}

void avx2_snap_static(float* x, int64_t n, float scale) {
  const __m256 scales = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) _mm256_storeu_ps(x + i, snapped(_mm256_loadu_ps(x + i), scales));
  if (i == n) return;
  float padded[kLanes] = {};
  __builtin_memcpy(padded, x + i, static_cast<size_t>(n - i) * sizeof(float));
  _mm256_storeu_ps(padded, snapped(_mm256_loadu_ps(padded), scales));
  __builtin_memcpy(x + i, padded, static_cast<size_t>(n - i) * sizeof(float));
}

}  // namespace carat

#endif
