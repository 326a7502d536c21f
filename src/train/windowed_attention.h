#pragma once

#include <ATen/ATen.h>

namespace carat {

/// Causal attention with scores q . k (no factor) and a softmax over the `window` latest keys, a query's own included.
///
/// `queries` [B, H, T, width], `keys` and `values` [B, K, T, width] with K dividing H; head h reads key-value head
/// h / (H / K). Returns [B, H, T, width].
///
/// Scores are computed in blocks of `window` queries against two windows of keys, so that memory grows with
/// T * window and not with T * T. A window of T or more is plain causal attention, one block.
at::Tensor windowed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                              int64_t window);

}  // namespace carat
