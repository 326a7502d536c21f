#pragma once

#include <cstdint>
#include <span>

#include "base/threads.h"
#include "kernels/kernels.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "tensor/tensor.h"

namespace carat {

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
  /// The threads themselves, for work that waits rather than computes.
  ThreadPool& pool() { return pool_; }

  /// out[t, :] = table[ids[t], :] * scale; table [V, columns], out [T, columns]. Ids are below V.
  void gather(const TensorView& table, std::span<const int32_t> ids, float scale, float* out);

  /// out[i, :] = x[rows[i], :]; x and out are [., columns]. `rows` may name a row twice.
  void gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out);

  /// out[rows[i], :] += factors[i] * x[i, :]; x and out are [., columns]. `rows` names no row twice.
  void add_to_rows(const float* x, const float* factors, std::span<const int32_t> rows, int64_t columns, float* out);

  /// y[t, n] = weight[n, :] . x[t, :]; weight [N, M] of any type, x [T, M], y [T, N]. Activations stay float32.
  void linear(const TensorView& weight, const float* x, int64_t T, float* y);

  /// The same for a layer with static quantizers, see `LinearWeights`. With an input quantizer `scratch` has
  /// linear_scratch(T, M) bytes, and a row of x with a NaN gives a row of NaNs.
  void linear(const LinearWeights& weights, const float* x, int64_t T, std::span<int8_t> scratch, float* y);

  /// out[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + epsilon) * weight, over rows of `columns` values. `weight`
  /// [columns] multiplies directly (no 1 + w); null stands for ones. The root is taken in
  /// double, so that the squares of no finite row overflow; the products are float32. `out` may be `x`.
  void rms_norm(const float* x, const float* weight, int64_t rows, int64_t columns, float epsilon, float* out);

  /// Rotations for T positions: table[t, i] = (cos a, sin a) with a = (first_position + t) * frequencies[i], the
  /// product rounded to float32. frequencies [width / 2], 0 for a pair that does not rotate;
  /// table [T, width / 2, 2].
  void rope_table(std::span<const float> frequencies, int64_t first_position, int64_t T, float* table);

  /// Rotates each head of x [T, H, width] in place by `table` [T, width / 2, 2] (see rotation.h).
  void rope(float* x, int64_t T, int64_t heads, int64_t width, const float* table);

  /// Causal attention with scores q . k (factor 1) and a float32 softmax. q and out are [T, H, width]; the token at
  /// position p sees positions j <= p, with a window also j > p - window. Head h reads key-value head h / (H / K). The
  /// cache holds every visible position. `scratch` has `attention_scratch` floats for T rows or more; how many more
  /// changes no bit.
  void attention(const float* q, const KeyValueView& cache, const AttentionShape& shape, std::span<float> scratch,
                 float* out);

  /// Softmax of each row of x [rows, columns] in place: exp(x - largest) / sum of these.
  void softmax(float* x, int64_t rows, int64_t columns);

  /// The k largest values of each row of x [rows, columns], largest first, of equal ones the first: their columns in
  /// `indices` [rows, k] and the values in `values` [rows, k]; 1 <= k <= columns. The columns of a row are k different
  /// ones also when some of its values are no numbers.
  void top_k(const float* x, int64_t rows, int64_t columns, int64_t k, int32_t* indices, float* values);

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

  /// x[i] = cap * tanh(x[i] / cap); NaN where x[i] is infinite.
  void softcap(float* x, int64_t n, float cap);

  /// The first row of x [rows, columns] with an infinity or a NaN; `rows` when there is none.
  int64_t first_not_finite(const float* x, int64_t rows, int64_t columns) const;

 private:
  const Kernels& kernels_;
  ThreadPool pool_;
};

}  // namespace carat
