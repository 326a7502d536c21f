// Compiled with -mavx2 -mfma -mf16c, so nothing here may be seen by other files: an inline function of the standard
// library compiled with these flags could become the copy that the whole program uses. Hence no containers and no
// algorithms, and everything but the two tables is in the anonymous namespace.

#include "kernels/avx2_dot.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "kernels/avx2_code_rows.h"
#include "kernels/avx2_rows.h"
#include "kernels/avx2_super_rows.h"

namespace carat {
namespace {

float sum_lanes(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/// sum + scale * (w . x over 32 columns, lane by lane). The inner products start afresh in each piece, so that only
/// the last operation waits for the piece before.
__m256 add_piece(__m256 sum, __m256 scale, const __m256 (&w)[kVectors], const float* x) {
  __m256 product = _mm256_mul_ps(w[0], _mm256_loadu_ps(x));
  for (int v = 1; v < kVectors; ++v) product = _mm256_fmadd_ps(w[v], _mm256_loadu_ps(x + v * kLanes), product);
  return _mm256_fmadd_ps(scale, product, sum);
}

/// The columns after the last whole piece, padded with zeros.
template <typename Row>
__m256 load_tail(const std::byte* row, int64_t columns, __m256 (&w)[kVectors]) {
  std::byte padded[Row::kBytes] = {};
  __builtin_memcpy(padded, row, static_cast<size_t>(columns * Row::kBytes / kPiece));
  return Row::load(padded, 0, w);
}

template <typename Row>
__m256 add_tail(__m256 sum, const std::byte* row, const float* x, int64_t columns) {
  float padded_x[kPiece] = {};
  __builtin_memcpy(padded_x, x, static_cast<size_t>(columns) * sizeof(float));
  __m256 w[kVectors];
  const __m256 scale = load_tail<Row>(row, columns, w);
  return add_piece(sum, scale, w, padded_x);
}

/// kRows activation rows at once: a piece of weights is unpacked once for all of them. Whatever kRows is, the
/// operations on one row are the same, in the same order.
template <typename Row, int kRows>
void some_rows_dot(const std::byte* row, const float* x, int64_t x_stride, int64_t columns, float* out,
                   int64_t out_stride) {
  constexpr int kBlock = Row::kPieces * kPiece;
  __m256 sums[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) sums[i] = _mm256_setzero_ps();
  int64_t c = 0;
  for (; c + kBlock <= columns; c += kBlock, row += Row::kBytes) {
#pragma GCC unroll 8
    for (int piece = 0; piece < Row::kPieces; ++piece) {
      __m256 w[kVectors];
      const __m256 scale = Row::load(row, piece, w);
      const float* x_piece = x + c + piece * kPiece;
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) sums[i] = add_piece(sums[i], scale, w, x_piece + i * x_stride);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    if constexpr (Row::kAnyLength) {
      if (c < columns) sums[i] = add_tail<Row>(sums[i], row, x + i * x_stride + c, columns - c);
    }
    out[i * out_stride] = sum_lanes(sums[i]);
  }
}

template <typename Row>
void rows_dot(const std::byte* row, const float* x, int64_t x_stride, int64_t n_x, int64_t columns, float* out,
              int64_t out_stride) {
  constexpr int kMany = 8;  // eight sums, four weights and a scale leave three of the sixteen registers
  int64_t i = 0;
  for (; i + kMany <= n_x; i += kMany) {
    some_rows_dot<Row, kMany>(row, x + i * x_stride, x_stride, columns, out + i * out_stride, out_stride);
  }
  for (; i + 2 <= n_x; i += 2) {
    some_rows_dot<Row, 2>(row, x + i * x_stride, x_stride, columns, out + i * out_stride, out_stride);
  }
  if (i < n_x) some_rows_dot<Row, 1>(row, x + i * x_stride, x_stride, columns, out + i * out_stride, out_stride);
}

void store_piece(__m256 scale, const __m256 (&w)[kVectors], float* out) {
  for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(out + v * kLanes, _mm256_mul_ps(w[v], scale));
}

template <typename Row>
void decode_row(const std::byte* row, int64_t columns, float* out) {
  constexpr int kBlock = Row::kPieces * kPiece;
  __m256 w[kVectors];
  int64_t c = 0;
  for (; c + kBlock <= columns; c += kBlock, row += Row::kBytes) {
#pragma GCC unroll 8
    for (int piece = 0; piece < Row::kPieces; ++piece) {
      const __m256 scale = Row::load(row, piece, w);
      store_piece(scale, w, out + c + piece * kPiece);
    }
  }
  if constexpr (Row::kAnyLength) {
    if (c == columns) return;
    const __m256 scale = load_tail<Row>(row, columns - c, w);
    float padded_out[kPiece];
    store_piece(scale, w, padded_out);
    __builtin_memcpy(out + c, padded_out, static_cast<size_t>(columns - c) * sizeof(float));
  }
}

}  // namespace

const RowsDot kAvx2RowsDot[kDTypes] = {
    rows_dot<F32Row>,  rows_dot<F16Row>,  rows_dot<BF16Row>, rows_dot<Q4_0Row>,  rows_dot<Q4_1Row>,
    rows_dot<Q5_0Row>, rows_dot<Q5_1Row>, rows_dot<Q8_0Row>, rows_dot<Q2_KRow>,  rows_dot<Q3_KRow>,
    rows_dot<Q4_KRow>, rows_dot<Q5_KRow>, rows_dot<Q6_KRow>, rows_dot<TQ2_0Row>, rows_dot<Q2_0Row>,
    rows_dot<I8Row>,   rows_dot<I4Row>,   rows_dot<I2Row>,   rows_dot<S4Row>,    rows_dot<S2Row>,
};

const DecodeRow kAvx2DecodeRow[kDTypes] = {
    decode_row<F32Row>,  decode_row<F16Row>,  decode_row<BF16Row>, decode_row<Q4_0Row>,  decode_row<Q4_1Row>,
    decode_row<Q5_0Row>, decode_row<Q5_1Row>, decode_row<Q8_0Row>, decode_row<Q2_KRow>,  decode_row<Q3_KRow>,
    decode_row<Q4_KRow>, decode_row<Q5_KRow>, decode_row<Q6_KRow>, decode_row<TQ2_0Row>, decode_row<Q2_0Row>,
    decode_row<I8Row>,   decode_row<I4Row>,   decode_row<I2Row>,   decode_row<S4Row>,    decode_row<S2Row>,
};

}  // namespace carat

#endif
