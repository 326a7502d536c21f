// Compiled with -mavx2 -mfma -mf16c, so nothing here may be seen by other files: an inline function of the standard
// library compiled with these flags could become the copy that the whole program uses. Hence no containers and no
// algorithms, and everything but the table is in the anonymous namespace.

#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>

#include "kernels/avx2_codes.h"
#include "kernels/avx2_dot.h"

namespace carat {
namespace {

constexpr int kLanes = 8;

double sum_lanes(__m256d v) {
  const __m128d sum = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(sum, _mm_unpackhi_pd(sum, sum)));
}

/// All ones in the first `count` lanes; 0 <= count <= 8.
__m256i first_lanes(int64_t count) {
  alignas(32) static constexpr int32_t kOnesThenZeros[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kOnesThenZeros + kLanes - count));
}

template <int kColumnVectors>
void add_weighted_columns(const float* weights, const float* rows, int64_t row_stride, int64_t n, float* out) {
  __m256 sums[kColumnVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kColumnVectors; ++v) sums[v] = _mm256_loadu_ps(out + v * kLanes);
  for (int64_t j = 0; j < n; ++j) {
    const __m256 weight = _mm256_broadcast_ss(weights + j);
#pragma GCC unroll 8
    for (int v = 0; v < kColumnVectors; ++v) {
      sums[v] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(rows + j * row_stride + v * kLanes), sums[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kColumnVectors; ++v) _mm256_storeu_ps(out + v * kLanes, sums[v]);
}

void add_weighted_rows(const float* weights, const float* rows, int64_t row_stride, int64_t n, int64_t columns,
                       float* out) {
  constexpr int kMany = 8;
  int64_t c = 0;
  for (; c + kMany * kLanes <= columns; c += kMany * kLanes) {
    add_weighted_columns<kMany>(weights, rows + c, row_stride, n, out + c);
  }
  for (; c + kLanes <= columns; c += kLanes) add_weighted_columns<1>(weights, rows + c, row_stride, n, out + c);
  if (c == columns) return;
  const __m256i mask = first_lanes(columns - c);
  __m256 sum = _mm256_maskload_ps(out + c, mask);
  for (int64_t j = 0; j < n; ++j) {
    const __m256 row = _mm256_maskload_ps(rows + j * row_stride + c, mask);
    sum = _mm256_fmadd_ps(_mm256_broadcast_ss(weights + j), row, sum);
  }
  _mm256_maskstore_ps(out + c, mask, sum);
}

// Below -87.33 the result would be subnormal; above 88.37 its exponent field would overflow.
constexpr float kLeastExponent = -87.33f;
constexpr float kGreatestExponent = 88.37f;

/// e^x for x in [kLeastExponent, kGreatestExponent]: x = n ln 2 + r, e^x = 2^n (1 + r + r^2 p(r)), with p the
/// polynomial of least largest relative error (3e-9) over |r| <= ln 2 / 2, found by Remez exchange. ln 2 is split in
/// a part of nine bits, of which n times is exact, and the rest.
__m256 exp_in_range(__m256 x) {
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440055e-4f), r);
  __m256 p = _mm256_set1_ps(1.381459955e-3f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.368716875e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.166838803e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.666652063e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.999999345e-1f));
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 mantissa = _mm256_add_ps(one, _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r));
  const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(mantissa, _mm256_castsi256_ps(exponent));
}

__m256 exp_clamped(__m256 x) {
  // When one operand is NaN these return the second one, so that NaN comes out where NaN goes in.
  const __m256 above = _mm256_max_ps(_mm256_set1_ps(kLeastExponent), x);
  return exp_in_range(_mm256_min_ps(_mm256_set1_ps(kGreatestExponent), above));
}

/// e^x for x <= 0, zero where it is below the normal numbers; NaN stays NaN.
__m256 exp_or_zero(__m256 x) {
  const __m256 kept = _mm256_cmp_ps(x, _mm256_set1_ps(kLeastExponent), _CMP_NLT_UQ);
  return _mm256_and_ps(kept, exp_clamped(x));
}

__m256 gelu(__m256 a) {
  // a/2 (1 + tanh u) = a / (1 + e^(-2u)), which does not cancel for negative a.
  const __m256 minus_root_eight_over_pi = _mm256_set1_ps(-1.5957691216f);
  const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(a, a), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
  const __m256 minus_two_u = _mm256_mul_ps(_mm256_mul_ps(a, minus_root_eight_over_pi), cubic);
  return _mm256_div_ps(a, _mm256_add_ps(_mm256_set1_ps(1.0f), exp_clamped(minus_two_u)));
}

/// Small |x|: x + x^3 p(x^2), p of least largest error (4e-9 of tanh) over |x| <= 0.625, found by Remez exchange.
/// Others: 1 - 2 / (e^(2|x|) + 1) with the sign of x.
__m256 tanh(__m256 x) {
  const __m256 sign_bit = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f), two = _mm256_set1_ps(2.0f);
  const __m256 magnitude = _mm256_andnot_ps(sign_bit, x);
  const __m256 square = _mm256_mul_ps(x, x);
  __m256 p = _mm256_set1_ps(-5.717049774e-3f);
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(2.065059209e-2f));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-5.37434998e-2f));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(1.333149131e-1f));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-3.333328393e-1f));
  const __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(square, p), x, x);
  const __m256 growth = exp_clamped(_mm256_mul_ps(two, magnitude));
  const __m256 large = _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(growth, one)));
  const __m256 signed_large = _mm256_or_ps(large, _mm256_and_ps(sign_bit, x));
  return _mm256_blendv_ps(signed_large, small, _mm256_cmp_ps(magnitude, _mm256_set1_ps(0.625f), _CMP_LT_OQ));
}

float exp_sum(float* x, int64_t n, float shift) {
  const __m256 subtracted = _mm256_set1_ps(shift);
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m256i mask = first_lanes(n - i < kLanes ? n - i : kLanes);
    __m256 e = exp_or_zero(_mm256_sub_ps(_mm256_maskload_ps(x + i, mask), subtracted));
    e = _mm256_and_ps(e, _mm256_castsi256_ps(mask));
    _mm256_maskstore_ps(x + i, mask, e);
    low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(e)));
    high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1)));
  }
  return static_cast<float>(sum_lanes(_mm256_add_pd(low, high)));
}

float maximum(const float* x, int64_t n) {
  __m256 largest = _mm256_broadcast_ss(x);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m256i mask = first_lanes(n - i < kLanes ? n - i : kLanes);
    const __m256 values = _mm256_blendv_ps(largest, _mm256_maskload_ps(x + i, mask), _mm256_castsi256_ps(mask));
    largest = _mm256_max_ps(largest, values);
  }
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

double sum_of_squares(const float* x, int64_t n) {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m256 values = _mm256_maskload_ps(x + i, first_lanes(n - i < kLanes ? n - i : kLanes));
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(values));
    const __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(values, 1));
    low = _mm256_fmadd_pd(a, a, low);
    high = _mm256_fmadd_pd(b, b, high);
  }
  return sum_lanes(_mm256_add_pd(low, high));
}

void gelu_multiply(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m256i mask = first_lanes(n - i < kLanes ? n - i : kLanes);
    const __m256 product = _mm256_mul_ps(gelu(_mm256_maskload_ps(gate + i, mask)), _mm256_maskload_ps(up + i, mask));
    _mm256_maskstore_ps(out + i, mask, product);
  }
}

void softcap(float* x, int64_t n, float cap) {
  const __m256 caps = _mm256_set1_ps(cap);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m256i mask = first_lanes(n - i < kLanes ? n - i : kLanes);
    const __m256 values = _mm256_maskload_ps(x + i, mask);
    const __m256 capped = _mm256_mul_ps(caps, tanh(_mm256_div_ps(values, caps)));
    const __m256 nan_where_infinite = _mm256_sub_ps(values, values);
    _mm256_maskstore_ps(x + i, mask, _mm256_add_ps(capped, nan_where_infinite));
  }
}

constexpr Kernels kTable = {
    .name = "avx2",
    .rows_dot = kAvx2RowsDot,
    .decode_row = kAvx2DecodeRow,
    .lay_out_codes = kAvx2LayOutCodes,
    .codes_dot = kAvx2CodesDot,
    .static_codes = avx2_static_codes,
    .snap_static = avx2_snap_static,
    .add_weighted_rows = add_weighted_rows,
    .exp_sum = exp_sum,
    .maximum = maximum,
    .sum_of_squares = sum_of_squares,
    .gelu_multiply = gelu_multiply,
    .softcap = softcap,
};

}  // namespace

const Kernels* const kAvx2Kernels = &kTable;

}  // namespace carat

#else

namespace carat {
const Kernels* const kAvx2Kernels = nullptr;
}

#endif
