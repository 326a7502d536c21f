#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace carat {

/// Dot products of one stored weight row with `n_x` rows of float activations:
///
///     out[i * out_stride] = sum over c of row[c] * x[i * x_stride + c],   0 <= i < n_x, 0 <= c < columns
///
/// The row is used exactly, as it lies in the file: nothing is rounded but the float32 products and sums, whose
/// error is at most dot_tolerance(columns) * sum |row[c] * x[c]|. The order of the sum depends on `columns` alone, so
/// out[i] has the same bits whatever `n_x` is. Strides count floats.
using RowsDot = void (*)(const std::byte* row, const float* x, int64_t x_stride, int64_t n_x, int64_t columns,
                         float* out, int64_t out_stride);

/// Codes of activations are laid out in blocks of so many columns.
inline constexpr int64_t kCodeBlock = 128;

constexpr int64_t columns_of_code_blocks(int64_t columns) {
  return (columns + kCodeBlock - 1) / kCodeBlock * kCodeBlock;
}

/// Bytes of a row of `columns` 8-bit codes that is laid out: whole blocks, and behind them the sum of the codes in four
/// bytes of 32, so that rows that follow each other keep their alignment.
constexpr int64_t code_row_bytes(int64_t columns) { return columns_of_code_blocks(columns) + 32; }

/// Lays out the row of `columns` codes at the beginning of the code_row_bytes(columns) at `x`, in place: each block in
/// the order in which codes_dot of the same table and type meets the columns, the last one filled up with zeros, then
/// the sum.
using LayOutCodes = void (*)(int8_t* x, int64_t columns);

/// Dot products of the integer codes of `n_rows` neighbouring weight rows with `n_x` rows of 8-bit codes that are laid
/// out:
///
///     out[i * out_stride + r] = float(sum over c of code[r, c] * x[i, c]) * factors[r]
///
/// The sum is exact in 32 bits: columns are at most kMostCodeColumns / 2^(bits - 1). Its conversion to float32 and the
/// product round half to even. All tables give the same bits. Row i of x begins at x + i * x_stride.
using CodesDot = void (*)(const std::byte* rows, int64_t n_rows, const int8_t* x, int64_t x_stride, int64_t n_x,
                          int64_t columns, const float* factors, float* out, int64_t out_stride);

/// Less than 2^31 / 128: a sum of so many products of two bytes, one of them 1, fits in 32 bits.
inline constexpr int64_t kMostCodeColumns = (int64_t{1} << 24) - 1;

/// The values of one stored weight row, bit for bit those of `decode` (src/lattice/lattice.h): out[c] = row[c],
/// 0 <= c < columns.
using DecodeRow = void (*)(const std::byte* row, int64_t columns, float* out);

/// What one processor core does, for one instruction set. All work on plain memory: no allocation, no error
/// path, no alignment needed (weights lie at any byte, floats at any multiple of four). Ranges do not overlap
/// unless a line says so. Results may differ between tables within the stated tolerances.
struct Kernels {
  const char* name;

  /// By DType. `columns` is a multiple of the type's `block_elements`. Of integer codes these are the codes alone: the
  /// caller applies their scales.
  const RowsDot* rows_dot;
  const DecodeRow* decode_row;

  /// By `code_type_index`.
  const LayOutCodes* lay_out_codes;
  const CodesDot* codes_dot;

  /// out[i] = static_code(x[i], scale) (src/lattice/static_range.h), bit for bit. Returns whether no x[i] is NaN; the
  /// codes of NaNs are any.
  bool (*static_codes)(const float* x, int64_t n, float scale, int8_t* out);

  /// x[i] = snap_static(x[i], scale), bit for bit.
  void (*snap_static)(float* x, int64_t n, float scale);

  /// out[c] += sum over j of weights[j] * rows[j * row_stride + c], 0 <= j < n, added one j after the other:
  /// splitting the range of j over several calls changes no bit.
  void (*add_weighted_rows)(const float* weights, const float* rows, int64_t row_stride, int64_t n, int64_t columns,
                            float* out);

  /// x[i] = exp(x[i] - shift), returns their sum. x[i] <= shift; -infinity gives 0, NaN gives NaN.
  /// Relative error of each at most kExpTolerance while the exponent is above -87; below it, the result is under
  /// 2e-38.
  float (*exp_sum)(float* x, int64_t n, float shift);

  /// Largest of n >= 1 values.
  float (*maximum)(const float* x, int64_t n);

  /// Sum of squares in double, which holds that of any finite values.
  double (*sum_of_squares)(const float* x, int64_t n);

  /// out[i] = gelu(gate[i]) * up[i] with gelu(a) = a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))).
  /// Error at most kGeluTolerance * |gate[i] * up[i]|, and kGeluTailTolerance of the result from a = -5 on: norms make
  /// small results large again. `out` may be `gate` or `up`.
  void (*gelu_multiply)(const float* gate, const float* up, int64_t n, float* out);

  /// x[i] = cap * tanh(x[i] / cap), relative error at most kTanhTolerance. Infinity gives NaN: what overflowed does not
  /// come out as a logit like others.
  void (*softcap)(float* x, int64_t n, float cap);
};

/// A sum of `columns` terms in lanes of 8, in blocks of 32, each operation off by at most 2^-24 of its result.
constexpr double dot_tolerance(int64_t columns) { return static_cast<double>(columns / 32 + 10) * 0x1p-24; }
inline constexpr double kExpTolerance = 4e-7;
inline constexpr double kGeluTolerance = 1e-6;
inline constexpr double kGeluTailTolerance = 1e-5;
inline constexpr double kTanhTolerance = 6e-7;

/// Plain loops in portable C++; the measure of all others.
extern const Kernels kReferenceKernels;

/// x86 with AVX2, FMA and F16C; null where the compiler builds for another processor. It may be present on a
/// machine that cannot run it: ask select.h.
extern const Kernels* const kAvx2Kernels;

}  // namespace carat
