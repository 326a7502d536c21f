#include "ops/ops.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "lattice/lattice.h"
#include "ops/grain.h"
#include "ops/rotation.h"

namespace carat {
namespace {

/// The best k of a row so far stay sorted in `indices` and `values`.
void top_k_of_row(const float* x, int64_t columns, int64_t k, int32_t* indices, float* values) {
  for (int64_t c = 0; c < columns; ++c) {
    int64_t place = std::min(c, k);
    while (place > 0 && x[c] > values[place - 1]) --place;
    if (place == k) continue;
    const int64_t kept = std::min(c, k - 1);
    std::copy_backward(values + place, values + kept, values + kept + 1);
    std::copy_backward(indices + place, indices + kept, indices + kept + 1);
    values[place] = x[c];
    indices[place] = static_cast<int32_t>(c);
  }
}

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

void Ops::gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out) {
  pool_.parallel_for(static_cast<int64_t>(rows.size()), grain_for(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) std::copy_n(x + rows[i] * columns, columns, out + i * columns);
  });
}

void Ops::add_to_rows(const float* x, const float* factors, std::span<const int32_t> rows, int64_t columns,
                      float* out) {
  pool_.parallel_for(static_cast<int64_t>(rows.size()), grain_for(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x + i * columns;
      float* to = out + rows[i] * columns;
      for (int64_t c = 0; c < columns; ++c) to[c] += factors[i] * from[c];
    }
  });
}

void Ops::rms_norm(const float* x, const float* weight, int64_t rows, int64_t columns, float epsilon, float* out) {
  pool_.parallel_for(rows, grain_for(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* in = x + r * columns;
      float* normed = out + r * columns;
      const double mean = kernels_.sum_of_squares(in, columns) / static_cast<double>(columns);
      const auto factor = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(epsilon)));
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
  pool_.parallel_for(T * heads, grain_for(width), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      rotate_pairs(x + item * width, width, width / 2, table + item / heads * width);
    }
  });
}

void Ops::softmax(float* x, int64_t rows, int64_t columns) {
  constexpr int64_t kWork = 16;
  pool_.parallel_for(rows, grain_for(columns * kWork), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* row = x + r * columns;
      const float sum = kernels_.exp_sum(row, columns, kernels_.maximum(row, columns));
      for (int64_t c = 0; c < columns; ++c) row[c] /= sum;
    }
  });
}

void Ops::top_k(const float* x, int64_t rows, int64_t columns, int64_t k, int32_t* indices, float* values) {
  pool_.parallel_for(rows, grain_for(columns * k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) top_k_of_row(x + r * columns, columns, k, indices + r * k, values + r * k);
  });
}

int64_t Ops::first_not_finite(const float* x, int64_t rows, int64_t columns) const {
  constexpr uint32_t kExponent = 0x7f800000u;
  for (int64_t r = 0; r < rows; ++r) {
    uint32_t found = 0;
    for (int64_t c = 0; c < columns; ++c) {
      found |= (std::bit_cast<uint32_t>(x[r * columns + c]) & kExponent) == kExponent;
    }
    if (found != 0) return r;
  }
  return rows;
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
  pool_.parallel_for(n, grain_for(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] += y[i];
  });
}

void Ops::add_scaled(float* x, const float* y, int64_t n, float scale) {
  pool_.parallel_for(n, grain_for(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] = (x[i] + y[i]) * scale;
  });
}

void Ops::multiply(float* x, const float* y, int64_t n) {
  pool_.parallel_for(n, grain_for(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= y[i];
  });
}

void Ops::scale(float* x, int64_t n, float factor) {
  pool_.parallel_for(n, grain_for(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= factor;
  });
}

}  // namespace carat
