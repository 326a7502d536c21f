#pragma once

#include <cstdint>
#include <span>

#include "base/threads.h"
#include "kernels/kernels.h"
#include "tensor/tensor.h"

namespace carat {

/// Keys and values of one layer, as attention reads them. Position p lies in row p % capacity of both arrays, a
/// row being [K, width]; a ring for a sliding layer holds at least W + T - 1 rows when T tokens are fed at once.
/// The view owns nothing.
struct KeyValueView {
  const float* keys = nullptr;    ///< [capacity, K, width], after norm and rope
  const float* values = nullptr;  ///< [capacity, K, width]
  int64_t capacity = 0;
  int64_t kv_heads = 0;  ///< K, a divisor of H
  int64_t width = 0;     ///< of one head
};

/// The operations of a text decoder on row-major float32 arrays, with threads inside.
///
/// Shape letters: T tokens, D hidden, H heads, K key-value heads, W window. All arrays belong to the caller;
/// nothing is allocated by a call. Outputs do not overlap inputs unless the method says so. Shapes are
/// preconditions. Results do not depend on the number of threads, nor on how the tokens of a prompt are split
/// over calls: each output is computed whole by one thread, in an order that its own inputs fix.
///
/// Not for use by several threads at once; two Ops are independent.
class Ops {
 public:
  /// `kernels` outlives the Ops; `threads` counts the calling thread.
  Ops(const Kernels& kernels, int threads) : kernels_(kernels), pool_(threads) {}

  const Kernels& kernels() const { return kernels_; }
  int threads() const { return pool_.threads(); }

  /// out[t, :] = table[ids[t], :] * scale; table [V, columns], out [T, columns]. Ids are below V.
  void gather(const TensorView& table, std::span<const int32_t> ids, float scale, float* out);

  /// y[t, n] = weight[n, :] . x[t, :]; weight [N, M] of any type, x [T, M], y [T, N].
  void linear(const TensorView& weight, const float* x, int64_t T, float* y);

  /// out[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + epsilon) * weight, over rows of `columns` values. `weight`
  /// [columns] multiplies directly (no 1 + w); null stands for ones. The squares are summed in double, the rest
  /// is float32. `out` may be `x`.
  void rms_norm(const float* x, const float* weight, int64_t rows, int64_t columns, float epsilon, float* out);

  /// Rotations for T positions: table[t, i] = (cos a, sin a) with a = (first_position + t) * frequencies[i], the
  /// product rounded to float32. frequencies [width / 2], 0 for a pair that does not rotate;
  /// table [T, width / 2, 2].
  void rope_table(std::span<const float> frequencies, int64_t first_position, int64_t T, float* table);

  /// Rotates each head of x [T, H, width] in place by `table` [T, width / 2, 2]. Dimension i is paired with
  /// i + width / 2: y[i] = x[i] cos - x[i + width / 2] sin, y[i + width / 2] = x[i + width / 2] cos + x[i] sin.
  void rope(float* x, int64_t T, int64_t heads, int64_t width, const float* table);

  /// Causal attention with scores q . k (factor 1) and a float32 softmax. q and out are [T, H, width]; token t is
  /// at position p = first_position + t and sees positions j <= p, with a window also j > p - window (0: no
  /// window). Head h reads key-value head h / (H / K). The cache holds every visible position.
  void attention(const float* q, const KeyValueView& cache, int64_t T, int64_t heads, int64_t first_position,
                 int64_t window, float* out);

  /// out = gelu_tanh(gate) * up, n values each; `out` may be `gate` or `up`.
  void gelu_multiply(const float* gate, const float* up, int64_t n, float* out);

  /// x[i] += y[i].
  void add(float* x, const float* y, int64_t n);

  /// x[i] = (x[i] + y[i]) * scale.
  void add_scaled(float* x, const float* y, int64_t n, float scale);

  /// x[i] *= y[i].
  void multiply(float* x, const float* y, int64_t n);

  /// x[i] *= factor.
  void scale(float* x, int64_t n, float factor);

  /// x[i] = cap * tanh(x[i] / cap).
  void softcap(float* x, int64_t n, float cap);

 private:
  const Kernels& kernels_;
  ThreadPool pool_;
};

}  // namespace carat
