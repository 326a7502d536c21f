#include "ops/linear.h"

#include <algorithm>
#include <limits>

#include "ops/grain.h"
#include "ops/ops.h"

namespace carat {
namespace {

// Activations that a linear layer keeps near the core while a chunk of weight rows passes over them: half of a
// 256 KiB second-level cache, the smallest still common.
constexpr int64_t kTileBytes = int64_t{128} << 10;

int64_t tile_rows(int64_t bytes_of_row) { return std::max<int64_t>(8, kTileBytes / bytes_of_row / 8 * 8); }

}  // namespace

bool is_integer_linear(const LinearWeights& weights) {
  return weights.input_scale > 0.0f && is_code_type(weights.weight.dtype) && weights.weight.scales.groups == 1;
}

void Ops::linear(const TensorView& weight, const float* x, int64_t T, float* y) {
  const int64_t N = weight.rows(), M = weight.columns();
  const auto bytes_of_row = static_cast<int64_t>(*row_bytes(weight.dtype, static_cast<uint64_t>(M)));
  const RowsDot rows_dot = kernels_.rows_dot[static_cast<size_t>(weight.dtype)];
  const int64_t tile = tile_rows(M * static_cast<int64_t>(sizeof(float)));
  const int64_t groups = weight.scales.groups;
  pool_.parallel_for(N, grain_for(M * T), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < T; t += tile) {
      const int64_t rows = std::min(tile, T - t);
      for (int64_t n = begin; n < end; ++n) {
        const std::byte* row = weight.data.data() + n * bytes_of_row;
        float* out = y + t * N + n;
        rows_dot(row, x + t * M, M, rows, M, out, N);
        if (groups == 0) continue;
        for (int64_t i = 0; i < rows; ++i) out[i * N] *= weight.scales.at(n, 0);
      }
    }
  });
}

void Ops::linear(const LinearWeights& weights, const float* x, int64_t T, std::span<int8_t> codes, float* y) {
  const TensorView& weight = weights.weight;
  const int64_t N = weight.rows(), M = weight.columns();
  if (!is_integer_linear(weights)) {
    linear(weight, x, T, y);
  } else {
    const auto bytes_of_row = static_cast<int64_t>(*row_bytes(weight.dtype, static_cast<uint64_t>(M)));
    const CodesDot codes_dot = kernels_.codes_dot[static_cast<size_t>(weight.dtype)];
    kernels_.static_codes(x, T * M, weights.input_scale, codes.data());
    pool_.parallel_for(N, grain_for(M * T), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        codes_dot(weight.data.data() + n * bytes_of_row, codes.data(), M, T, M,
                  weights.input_scale * weight.scales.at(n, 0), y + n, N);
      }
    });
  }
  if (weights.output_scale > 0.0f) kernels_.snap_static(y, T * N, weights.output_scale);
}

}  // namespace carat
