#pragma once

#include <ATen/ATen.h>

namespace carat {

/// The output head and the loss on its soft-capped logits, in pieces: logits exist for a few hundred tokens at
/// a time, because a row of them is 1 MiB for a vocabulary of 262144. The gradient is formed in the forward
/// pass, so that nothing is computed twice.
///
/// With z = cap * tanh(h W^T / cap), q = softmax(z) and a target distribution p, both losses have
/// d loss / d z = q - p, and d z / d(raw) = 1 - (z / cap)^2.

/// How a head turns hidden states into logits.
struct Head {
  at::Tensor hidden;                      ///< [N, D], normed hidden states
  at::Tensor weight;                      ///< [V, D]
  double softcap;                         ///< 0 means none
  at::ScalarType precision = at::kFloat;  ///< type of the matrix products
};

/// Mean cross-entropy of `labels` [N] (int64), in nats; a scalar through which gradients flow to both tensors of
/// `head`.
at::Tensor next_token_loss(const Head& head, const at::Tensor& labels);

/// Mean forward KL(teacher || student) over N positions, in nats. Gradients flow to the student only.
at::Tensor distillation_loss(const Head& student, const Head& teacher);

}  // namespace carat
