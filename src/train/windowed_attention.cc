#include "train/windowed_attention.h"

#include <limits>

namespace carat {
namespace {

/// [blocks, 1, block, span]: 0 where the query of a row may see the key of a column, -inf elsewhere. Row i of block b
/// is position b * block + i; column j is position (b + 1) * block - span + j.
at::Tensor block_mask(int64_t blocks, int64_t block, int64_t span, int64_t window, at::TensorOptions options) {
  options = options.requires_grad(false);
  const at::TensorOptions index = options.dtype(at::kLong);
  const at::Tensor start = at::arange(blocks, index).mul(block).view({-1, 1, 1});
  const at::Tensor query = start + at::arange(block, index).view({1, -1, 1});
  const at::Tensor key = start + (block - span) + at::arange(span, index).view({1, 1, -1});
  const at::Tensor visible = (key >= 0) & (key <= query) & (key > query - window);
  return at::zeros(visible.sizes(), options)
      .masked_fill(visible.logical_not(), -std::numeric_limits<float>::infinity())
      .unsqueeze(1);
}

}  // namespace

at::Tensor windowed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                              int64_t window) {
  const int64_t batch = queries.size(0), heads = queries.size(1), positions = queries.size(2), width = queries.size(3);
  const int64_t kv_heads = keys.size(1), group = heads / kv_heads;
  const bool one_block = window >= positions;
  const int64_t block = one_block ? positions : window;
  const int64_t span = one_block ? positions : 2 * window;
  const int64_t blocks = (positions + block - 1) / block;
  const int64_t tail = blocks * block - positions;

  // Zeros in front stand for the window before the first block, zeros behind fill the last block; the mask hides both.
  const auto spans = [&](const at::Tensor& rows) {
    return at::constant_pad_nd(rows, {0, 0, span - block, tail}).unfold(2, span, block);  // [B, K, blocks, width, span]
  };
  // The query heads of one key-value head are stacked, so that keys and values are never repeated.
  const at::Tensor stacked = at::constant_pad_nd(queries, {0, 0, 0, tail})
                                 .view({batch, kv_heads, group, blocks, block, width})
                                 .transpose(2, 3)
                                 .reshape({batch, kv_heads, blocks, group * block, width});
  at::Tensor scores = at::matmul(stacked, spans(keys)).view({batch, kv_heads, blocks, group, block, span});
  scores.add_(block_mask(blocks, block, span, window, queries.options()));
  const at::Tensor weights = scores.softmax(-1).view({batch, kv_heads, blocks, group * block, span});
  return at::matmul(weights, spans(values).transpose(-1, -2))
      .view({batch, kv_heads, blocks, group, block, width})
      .transpose(2, 3)
      .reshape({batch, heads, blocks * block, width})
      .narrow(2, 0, positions);
}

}  // namespace carat
