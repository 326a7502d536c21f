#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/kernels.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/static_range.h"
#include "tensor/super_block.h"

namespace carat {
namespace {

// Values are decoded in pieces of this length; every type's block length divides it.
constexpr int64_t kPiece = kSuperBlockElements;

double piece_dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

template <DType kDType>
float row_dot(const std::byte* row, const float* x, int64_t columns) {
  double sum = 0;
  float piece[kPiece];
  for (int64_t begin = 0; begin < columns; begin += kPiece) {
    const int64_t n = columns - begin < kPiece ? columns - begin : kPiece;
    const auto bytes = static_cast<size_t>(n / block_elements(kDType) * block_bytes(kDType));
    decode(kDType, Bytes(row, bytes), std::span<float>(piece, static_cast<size_t>(n)));
    sum += piece_dot(piece, x + begin, n);
    row += bytes;
  }
  return static_cast<float>(sum);
}

template <DType kDType>
void rows_dot(const std::byte* row, const float* x, int64_t x_stride, int64_t n_x, int64_t columns, float* out,
              int64_t out_stride) {
  for (int64_t i = 0; i < n_x; ++i) out[i * out_stride] = row_dot<kDType>(row, x + i * x_stride, columns);
}

template <DType kDType>
void decode_row(const std::byte* row, int64_t columns, float* out) {
  const auto values = static_cast<size_t>(columns);
  decode(kDType, Bytes(row, *row_bytes(kDType, values)), std::span<float>(out, values));
}

void lay_out_codes(int8_t* x, int64_t columns) {
  int32_t sum = 0;
  for (int64_t c = 0; c < columns; ++c) sum += x[c];
  const int64_t blocks = columns_of_code_blocks(columns);
  std::fill(x + columns, x + blocks, int8_t{0});
  std::memcpy(x + blocks, &sum, sizeof(sum));
}

template <DType kDType>
int32_t code_sum(const std::byte* row, const int8_t* x, int64_t columns) {
  int32_t sum = 0;
  int8_t codes[kPiece];
  for (int64_t begin = 0; begin < columns; begin += kPiece) {
    const int64_t n = columns - begin < kPiece ? columns - begin : kPiece;
    const auto bytes = static_cast<size_t>(n / block_elements(kDType) * block_bytes(kDType));
    unpack_codes(kDType, Bytes(row, bytes), std::span<int8_t>(codes, static_cast<size_t>(n)));
    for (int64_t c = 0; c < n; ++c) sum += codes[c] * x[begin + c];
    row += bytes;
  }
  return sum;
}

template <DType kDType>
void codes_dot(const std::byte* rows, int64_t n_rows, const int8_t* x, int64_t x_stride, int64_t n_x, int64_t columns,
               const float* factors, float* out, int64_t out_stride) {
  const int64_t bytes_of_row = columns / block_elements(kDType) * block_bytes(kDType);
  for (int64_t i = 0; i < n_x; ++i) {
    for (int64_t r = 0; r < n_rows; ++r) {
      const int32_t sum = code_sum<kDType>(rows + r * bytes_of_row, x + i * x_stride, columns);
      out[i * out_stride + r] = static_cast<float>(sum) * factors[r];
    }
  }
}

bool static_codes(const float* x, int64_t n, float scale, int8_t* out) {
  bool all_numbers = true;
  for (int64_t i = 0; i < n; ++i) {
    all_numbers &= !std::isnan(x[i]);
    out[i] = std::isnan(x[i]) ? int8_t{0} : static_code(x[i], scale);
  }
  return all_numbers;
}

void snap_static_row(float* x, int64_t n, float scale) {
  for (int64_t i = 0; i < n; ++i) x[i] = snap_static(x[i], scale);
}

void add_weighted_rows(const float* weights, const float* rows, int64_t row_stride, int64_t n, int64_t columns,
                       float* out) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t c = 0; c < columns; ++c) out[c] += weights[j] * rows[j * row_stride + c];
  }
}

float exp_sum(float* x, int64_t n, float shift) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = std::exp(x[i] - shift);
    sum += x[i];
  }
  return static_cast<float>(sum);
}

float maximum(const float* x, int64_t n) {
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

double sum_of_squares(const float* x, int64_t n) { return piece_dot(x, x, n); }

void gelu_multiply(const float* gate, const float* up, int64_t n, float* out) {
  // a/2 (1 + tanh u) = a / (1 + e^(-2u)), which does not cancel for negative a.
  constexpr double kRootEightOverPi = 1.5957691216057308;
  for (int64_t i = 0; i < n; ++i) {
    const auto a = static_cast<double>(gate[i]);
    const double gelu = a / (1.0 + std::exp(-kRootEightOverPi * (a + 0.044715 * a * a * a)));
    out[i] = static_cast<float>(gelu) * up[i];
  }
}

void softcap(float* x, int64_t n, float cap) {
  for (int64_t i = 0; i < n; ++i) x[i] = std::isinf(x[i]) ? std::nanf("") : cap * std::tanh(x[i] / cap);
}

template <int... kTypes>
constexpr std::array<RowsDot, kDTypes> rows_dot_of(std::integer_sequence<int, kTypes...>) {
  return {rows_dot<static_cast<DType>(kTypes)>...};
}

template <int... kTypes>
constexpr std::array<DecodeRow, kDTypes> decode_row_of(std::integer_sequence<int, kTypes...>) {
  return {decode_row<static_cast<DType>(kTypes)>...};
}

constexpr auto kRowsDot = rows_dot_of(std::make_integer_sequence<int, kDTypes>());
constexpr auto kDecodeRow = decode_row_of(std::make_integer_sequence<int, kDTypes>());

constexpr LayOutCodes kLayOutCodes[kCodeTypes] = {lay_out_codes, lay_out_codes, lay_out_codes, lay_out_codes,
                                                  lay_out_codes};
constexpr CodesDot kCodesDot[kCodeTypes] = {codes_dot<DType::kI8>, codes_dot<DType::kI4>, codes_dot<DType::kI2>,
                                            codes_dot<DType::kS4>, codes_dot<DType::kS2>};

}  // namespace

const Kernels kReferenceKernels = {
    .name = "reference",
    .rows_dot = kRowsDot.data(),
    .decode_row = kDecodeRow.data(),
    .lay_out_codes = kLayOutCodes,
    .codes_dot = kCodesDot,
    .static_codes = static_codes,
    .snap_static = snap_static_row,
    .add_weighted_rows = add_weighted_rows,
    .exp_sum = exp_sum,
    .maximum = maximum,
    .sum_of_squares = sum_of_squares,
    .gelu_multiply = gelu_multiply,
    .softcap = softcap,
};

}  // namespace carat
