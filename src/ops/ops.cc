#include "ops/ops.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

// Multiplications worth handing to another thread: some microseconds, a few times what waking it costs.
constexpr int64_t kGrainWork = 32768;

int64_t grain_for(int64_t work_per_item) {
  return std::max<int64_t>(1, kGrainWork / std::max<int64_t>(1, work_per_item));
}

// Activations that a linear layer keeps near the core while a chunk of weight rows passes over them: half of a
// 256 KiB second-level cache, the smallest still common.
constexpr int64_t kTileFloats = 32768;

}  // namespace

void Ops::gather(const TensorView& table, std::span<const int32_t> ids, float scale, float* out) {
  const int64_t columns = table.columns();
  pool_.parallel_for(static_cast<int64_t>(ids.size()), grain_for(columns), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const std::span<float> row(out + t * columns, static_cast<size_t>(columns));
      decode_row(table, ids[static_cast<size_t>(t)], row);
      for (float& value : row) value *= scale;
    }
  });
}

void Ops::linear(const TensorView& weight, const float* x, int64_t T, float* y) {
  const int64_t N = weight.rows(), M = weight.columns();
  const auto bytes_of_row = static_cast<int64_t>(*row_bytes(weight.dtype, static_cast<uint64_t>(M)));
  const RowsDot rows_dot = kernels_.rows_dot[static_cast<size_t>(weight.dtype)];
  const int64_t tile = std::max<int64_t>(8, kTileFloats / M / 8 * 8);
  pool_.parallel_for(N, grain_for(M * T), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < T; t += tile) {
      const int64_t rows = std::min(tile, T - t);
      for (int64_t n = begin; n < end; ++n) {
        rows_dot(weight.data.data() + n * bytes_of_row, x + t * M, M, rows, M, y + t * N + n, N);
      }
    }
  });
}

void Ops::rms_norm(const float* x, const float* weight, int64_t rows, int64_t columns, float epsilon, float* out) {
  pool_.parallel_for(rows, grain_for(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* in = x + r * columns;
      float* normed = out + r * columns;
      const float mean = kernels_.sum_of_squares(in, columns) / static_cast<float>(columns);
      const float factor = 1.0f / std::sqrt(mean + epsilon);
      for (int64_t c = 0; c < columns; ++c) normed[c] = in[c] * factor;
      if (weight == nullptr) continue;
      for (int64_t c = 0; c < columns; ++c) normed[c] *= weight[c];
    }
  });
}

void Ops::rope_table(std::span<const float> frequencies, int64_t first_position, int64_t T, float* table) {
  const auto pairs = static_cast<int64_t>(frequencies.size());
  constexpr int64_t kWorkPerPair = 64;
  pool_.parallel_for(T, grain_for(pairs * kWorkPerPair), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto position = static_cast<float>(first_position + t);
      for (int64_t i = 0; i < pairs; ++i) {
        const float angle = position * frequencies[static_cast<size_t>(i)];
        table[(t * pairs + i) * 2] = std::cos(angle);
        table[(t * pairs + i) * 2 + 1] = std::sin(angle);
      }
    }
  });
}

void Ops::rope(float* x, int64_t T, int64_t heads, int64_t width, const float* table) {
  const int64_t pairs = width / 2;
  pool_.parallel_for(T * heads, grain_for(width), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const float* angles = table + item / heads * width;
      float* left = x + item * width;
      float* right = left + pairs;
      for (int64_t i = 0; i < pairs; ++i) {
        const float cosine = angles[2 * i], sine = angles[2 * i + 1];
        const float a = left[i], b = right[i];
        left[i] = a * cosine - b * sine;
        right[i] = b * cosine + a * sine;
      }
    }
  });
}

void Ops::gelu_multiply(const float* gate, const float* up, int64_t n, float* out) {
  constexpr int64_t kWork = 16;
  pool_.parallel_for(n, grain_for(kWork), [&](int64_t begin, int64_t end) {
    kernels_.gelu_multiply(gate + begin, up + begin, end - begin, out + begin);
  });
}

void Ops::softcap(float* x, int64_t n, float cap) {
  constexpr int64_t kWork = 16;
  pool_.parallel_for(n, grain_for(kWork),
                     [&](int64_t begin, int64_t end) { kernels_.softcap(x + begin, end - begin, cap); });
}

void Ops::add(float* x, const float* y, int64_t n) {
  pool_.parallel_for(n, kGrainWork, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] += y[i];
  });
}

void Ops::add_scaled(float* x, const float* y, int64_t n, float scale) {
  pool_.parallel_for(n, kGrainWork, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] = (x[i] + y[i]) * scale;
  });
}

void Ops::multiply(float* x, const float* y, int64_t n) {
  pool_.parallel_for(n, kGrainWork, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= y[i];
  });
}

void Ops::scale(float* x, int64_t n, float factor) {
  pool_.parallel_for(n, kGrainWork, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= factor;
  });
}

}  // namespace carat
