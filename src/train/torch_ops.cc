#include "train/torch_ops.h"

#include <torch/csrc/autograd/custom_function.h>

namespace carat {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    const at::Tensor reciprocal = x.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
    const at::Tensor unit = x * reciprocal;
    context->save_for_backward({unit, reciprocal, weight});
    return unit * weight;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &unit = saved[0], &reciprocal = saved[1], &weight = saved[2];
    const at::Tensor& dy = gradients[0];
    const at::Tensor dweight = (dy * unit).flatten(0, -2).sum(0);
    const at::Tensor g = dy * weight;
    const at::Tensor dx = at::addcmul(g, unit, (g * unit).mean(-1, /*keepdim=*/true), -1.0).mul_(reciprocal);
    return {dx, dweight, at::Tensor()};
  }
};

at::Tensor rotate_halves(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor low = x.narrow(-1, 0, half), high = x.narrow(-1, half, half);
  at::Tensor rotated = at::empty(x.sizes(), x.options());
  at::Tensor rotated_low = rotated.narrow(-1, 0, half), rotated_high = rotated.narrow(-1, half, half);
  at::mul_out(rotated_low, low, cosine).addcmul_(high, sine, -1.0);
  at::mul_out(rotated_high, high, cosine).addcmul_(low, sine);
  return rotated;
}

class Rotate : public torch::autograd::Function<Rotate> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return rotate_halves(x, cosine, sine);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate_halves(gradients[0], saved[0], saved[1].neg()), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNorm::apply(x, weight.defined() ? weight : at::ones({x.size(-1)}, x.options()), epsilon);
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  return Rotate::apply(x, cosine, sine);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, at::ScalarType precision) {
  return at::linear(x.to(precision), weight.to(precision)).to(at::kFloat);
}

}  // namespace carat
