#include "train/head_loss.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <functional>

#include "train/torch_ops.h"

namespace carat {
namespace {

// Tokens whose logits are in memory at once: 512 MB of float32 at 262144 pieces.
constexpr int64_t kTokensAtOnce = 512;

at::Tensor capped_logits(const Head& head, int64_t first, int64_t count) {
  at::Tensor raw = linear(head.hidden.narrow(0, first, count), head.weight, head.precision);
  return head.softcap > 0 ? raw.div_(head.softcap).tanh_().mul_(head.softcap) : raw;
}

struct LossPiece {
  at::Tensor sum;              ///< of the loss over the piece's tokens
  at::Tensor logits_gradient;  ///< q - p, [count, V]
};
using LossOfPiece = std::function<LossPiece(const at::Tensor& log_q, int64_t first, int64_t count)>;

struct LossAndGradients {
  at::Tensor loss, hidden_gradient, weight_gradient;
};

LossAndGradients evaluate(const Head& head, const LossOfPiece& loss_of_piece) {
  const int64_t tokens = head.hidden.size(0);
  LossAndGradients total{at::zeros({}, head.hidden.options()), at::empty_like(head.hidden),
                         at::zeros_like(head.weight)};
  for (int64_t first = 0; first < tokens; first += kTokensAtOnce) {
    const int64_t count = std::min(kTokensAtOnce, tokens - first);
    const at::Tensor capped = capped_logits(head, first, count);
    LossPiece piece = loss_of_piece(capped.log_softmax(-1), first, count);
    total.loss.add_(piece.sum);
    at::Tensor gradient = piece.logits_gradient.div_(static_cast<double>(tokens));
    if (head.softcap > 0) gradient.addcmul_(gradient * capped, capped, -1.0 / (head.softcap * head.softcap));
    const at::Tensor narrow = gradient.to(head.precision);
    total.hidden_gradient.narrow(0, first, count).copy_(at::matmul(narrow, head.weight.to(head.precision)));
    total.weight_gradient.add_(
        at::matmul(narrow.t(), head.hidden.narrow(0, first, count).to(head.precision)).to(at::kFloat));
  }
  total.loss.div_(static_cast<double>(tokens));
  return total;
}

class HeadLoss : public torch::autograd::Function<HeadLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, double softcap, int64_t precision, LossOfPiece loss_of_piece) {
    LossAndGradients result =
        evaluate({hidden, weight, softcap, static_cast<at::ScalarType>(precision)}, loss_of_piece);
    context->save_for_backward({result.hidden_gradient, result.weight_gradient});
    return result.loss;
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    return {saved[0] * gradients[0], saved[1] * gradients[0], {}, {}, {}};
  }
};

at::Tensor head_loss(const Head& head, LossOfPiece loss_of_piece) {
  return HeadLoss::apply(head.hidden, head.weight, head.softcap, static_cast<int64_t>(head.precision),
                         std::move(loss_of_piece));
}

}  // namespace

at::Tensor next_token_loss(const Head& head, const at::Tensor& labels) {
  return head_loss(head, [labels](const at::Tensor& log_q, int64_t first, int64_t count) {
    const at::Tensor index = labels.narrow(0, first, count).unsqueeze(1);
    const at::Tensor sum = log_q.gather(1, index).sum().neg();
    at::Tensor gradient = log_q.exp();
    gradient.scatter_add_(1, index, at::full_like(index, -1.0, gradient.options()));
    return LossPiece{sum, gradient};
  });
}

at::Tensor distillation_loss(const Head& student, const Head& teacher) {
  return head_loss(student, [teacher](const at::Tensor& log_q, int64_t first, int64_t count) {
    const at::Tensor log_p = capped_logits(teacher, first, count).log_softmax(-1);
    const at::Tensor p = log_p.exp();
    return LossPiece{(p * (log_p - log_q)).sum(), log_q.exp().sub_(p)};
  });
}

}  // namespace carat
