#include "ops/linear.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "ops/grain.h"
#include "ops/ops.h"

namespace carat {
namespace {

// Activations that a linear layer keeps near the core while a chunk of weight rows passes over them: half of a
// 256 KiB second-level cache, the smallest still common.
constexpr int64_t kTileBytes = int64_t{128} << 10;

int64_t tile_rows(int64_t bytes_of_row) { return std::max<int64_t>(8, kTileBytes / bytes_of_row / 8 * 8); }

// Where a row of weights is decoded, or one of activations moved to its lattice, a sum goes over segments of so many
// columns: a multiple of every type's block. Their length may not depend on T, for the order of a sum does not.
constexpr int64_t kSegment = 4096;
constexpr int64_t kSegmentRows = 8;

// Weights that stay in the second-level cache while all rows of activations meet them.
constexpr int64_t kWeightBytesAtOnce = int64_t{256} << 10;
constexpr int64_t kMostRowsAtOnce = 512;

constexpr int64_t kAlignment = 64;  // bytes of a cache line

/// Rows of codes, each code_row_bytes(M) long.
int8_t* aligned(std::span<int8_t> scratch) {
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  return scratch.data() + (kAlignment - address % kAlignment) % kAlignment;
}

struct StoredRows {
  const std::byte* at(int64_t n) const { return weight.data.data() + n * bytes_of_row; }
  const std::byte* at(int64_t n, int64_t column) const {
    return at(n) + column / block_elements(weight.dtype) * block_bytes(weight.dtype);
  }
  /// What products of a whole row's sum are multiplied by; codes of several groups are decoded with their scales.
  float scale(int64_t n) const { return weight.scales.groups == 1 ? weight.scales.at(n, 0) : 1.0f; }

  const TensorView& weight;
  int64_t bytes_of_row = static_cast<int64_t>(*row_bytes(weight.dtype, static_cast<uint64_t>(weight.columns())));
};

/// Columns [first, first + columns) of row n with their groups' scales, in float32.
const std::byte* decode_groups(const Kernels& kernels, const StoredRows& rows, int64_t n, int64_t first,
                               int64_t columns, float* out) {
  const TensorView& weight = rows.weight;
  kernels.decode_row[static_cast<size_t>(weight.dtype)](rows.at(n, first), columns, out);
  const int64_t length = weight.columns() / weight.scales.groups;
  for (int64_t c = 0; c < columns;) {
    const int64_t group = (first + c) / length;
    const float scale = weight.scales.at(n, group);
    for (const int64_t end = std::min(columns, (group + 1) * length - first); c < end; ++c) out[c] *= scale;
  }
  return reinterpret_cast<const std::byte*>(out);
}

/// One layer on T rows of x.
struct Product {
  const Kernels& kernels;
  ThreadPool& pool;
  const TensorView& weight;
  float input_scale;   ///< 0 for no quantizer
  float output_scale;  ///< 0 for no quantizer
  int64_t T;
  float* y;

  StoredRows stored{weight};
  int64_t N = weight.rows();
  int64_t M = weight.columns();

  /// body(begin, end) for ranges of outputs, which then go to the output's lattice.
  template <typename Body>
  void for_rows(Body body) const {
    pool.parallel_for(N, grain_for(M * T), [&](int64_t begin, int64_t end) {
      body(begin, end);
      if (output_scale > 0.0f) {
        for (int64_t t = 0; t < T; ++t) kernels.snap_static(y + t * N + begin, end - begin, output_scale);
      }
    });
  }

  /// Codes in rows of code_row_bytes(M), and whether no x is NaN.
  bool quantize(const float* x, bool lay_out, int8_t* codes) const {
    std::atomic<bool> all_numbers = true;
    pool.parallel_for(T, grain_for(M), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        int8_t* row = codes + t * code_row_bytes(M);
        if (!kernels.static_codes(x + t * M, M, input_scale, row)) all_numbers = false;
        if (lay_out) kernels.lay_out_codes[code_type_index(weight.dtype)](row, M);
      }
    });
    return all_numbers;
  }

  void in_integers(const int8_t* codes) const {
    const CodesDot codes_dot = kernels.codes_dot[code_type_index(weight.dtype)];
    const int64_t most = std::clamp<int64_t>(kWeightBytesAtOnce / stored.bytes_of_row, 8, kMostRowsAtOnce);
    for_rows([&](int64_t begin, int64_t end) {
      float factors[kMostRowsAtOnce];
      for (int64_t n = begin; n < end; n += most) {
        const int64_t rows = std::min(most, end - n);
        for (int64_t r = 0; r < rows; ++r) factors[r] = input_scale * stored.scale(n + r);
        codes_dot(stored.at(n), rows, codes, code_row_bytes(M), T, M, factors, y + n, N);
      }
    });
  }

  void of_floats(const float* x) const { weight.scales.groups > 1 ? in_segments(x, nullptr) : in_whole_rows(x); }

  void in_whole_rows(const float* x) const {
    const RowsDot rows_dot = kernels.rows_dot[static_cast<size_t>(weight.dtype)];
    const int64_t tile = tile_rows(M * static_cast<int64_t>(sizeof(float)));
    for_rows([&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < T; t += tile) {
        const int64_t rows = std::min(tile, T - t);
        for (int64_t n = begin; n < end; ++n) {
          float* out = y + t * N + n;
          rows_dot(stored.at(n), x + t * M, M, rows, M, out, N);
          if (weight.scales.groups == 0) continue;
          const float scale = stored.scale(n);
          for (int64_t i = 0; i < rows; ++i) out[i * N] *= scale;
        }
      }
    });
  }

  /// Of codes where there are any, else of x.
  void in_segments(const float* x, const int8_t* codes) const {
    for_rows([&](int64_t begin, int64_t end) {
      float decoded[kSegmentRows * kSegment];
      for (int64_t t = 0; t < T; t += kSegmentRows) {
        const int64_t rows = std::min(kSegmentRows, T - t);
        for (int64_t first = 0; first < M; first += kSegment) {
          Segment segment{x == nullptr ? x : x + t * M + first, M, t, rows, first, std::min(kSegment, M - first)};
          if (codes != nullptr) {
            decode_codes(codes, segment, decoded);
            segment.x = decoded;
            segment.x_stride = kSegment;
          }
          add_segment(segment, begin, end);
        }
        scale_rows(t, rows, begin, end);
      }
    });
  }

  /// Columns [first, first + columns) of x for tokens [t, t + rows).
  struct Segment {
    const float* x;
    int64_t x_stride;
    int64_t t, rows;
    int64_t first, columns;
  };

  void decode_codes(const int8_t* codes, const Segment& segment, float* out) const {
    const DecodeRow decode_row = kernels.decode_row[static_cast<size_t>(DType::kI8)];
    for (int64_t i = 0; i < segment.rows; ++i) {
      const int8_t* row = codes + (segment.t + i) * code_row_bytes(M) + segment.first;
      decode_row(reinterpret_cast<const std::byte*>(row), segment.columns, out + i * kSegment);
    }
  }

  void add_segment(const Segment& segment, int64_t begin, int64_t end) const {
    const bool grouped = weight.scales.groups > 1;
    const RowsDot rows_dot = kernels.rows_dot[static_cast<size_t>(grouped ? DType::kF32 : weight.dtype)];
    float decoded[kSegment], part[kSegmentRows];
    for (int64_t n = begin; n < end; ++n) {
      const std::byte* row = stored.at(n, segment.first);
      if (grouped) row = decode_groups(kernels, stored, n, segment.first, segment.columns, decoded);
      rows_dot(row, segment.x, segment.x_stride, segment.rows, segment.columns, part, 1);
      for (int64_t i = 0; i < segment.rows; ++i) {
        float& out = y[(segment.t + i) * N + n];
        out = segment.first == 0 ? part[i] : out + part[i];
      }
    }
  }

  void scale_rows(int64_t t, int64_t rows, int64_t begin, int64_t end) const {
    const float scale_of_x = input_scale > 0.0f ? input_scale : 1.0f;
    for (int64_t i = t; i < t + rows; ++i) {
      for (int64_t n = begin; n < end; ++n) y[i * N + n] *= scale_of_x * stored.scale(n);
    }
  }

  void spread_nans(const float* x) const {
    for (int64_t t = 0; t < T; ++t) {
      const bool any = std::any_of(x + t * M, x + (t + 1) * M, [](float value) { return std::isnan(value); });
      if (any) std::fill_n(y + t * N, N, std::numeric_limits<float>::quiet_NaN());
    }
  }
};

}  // namespace

bool is_integer_linear(const LinearWeights& weights) {
  const TensorView& weight = weights.weight;
  return weights.input_scale > 0.0f && is_code_type(weight.dtype) && weight.scales.groups == 1 &&
         weight.columns() <= kMostCodeColumns >> (code_bits(weight.dtype) - 1);
}

int64_t linear_scratch(int64_t T, int64_t M) { return T * code_row_bytes(M) + kAlignment - 1; }

void Ops::linear(const TensorView& weight, const float* x, int64_t T, float* y) {
  Product{kernels_, pool_, weight, 0.0f, 0.0f, T, y}.of_floats(x);
}

void Ops::linear(const LinearWeights& weights, const float* x, int64_t T, std::span<int8_t> scratch, float* y) {
  const Product product{kernels_, pool_, weights.weight, weights.input_scale, weights.output_scale, T, y};
  if (weights.input_scale <= 0.0f) return product.of_floats(x);
  const bool in_integers = is_integer_linear(weights);
  int8_t* const codes = aligned(scratch);
  const bool all_numbers = product.quantize(x, in_integers, codes);
  in_integers ? product.in_integers(codes) : product.in_segments(nullptr, codes);
  if (!all_numbers) product.spread_nans(x);
}

}  // namespace carat
