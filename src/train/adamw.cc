#include "train/adamw.h"

#include <torch/utils.h>

#include <cmath>
#include <numbers>

namespace carat {

double AdamW::clip_factor() const {
  at::Tensor total;
  for (const TrainedTensor& tensor : tensors_) {
    if (!tensor.weight.grad().defined()) continue;
    const at::Tensor square = tensor.weight.grad().square().sum();
    total = total.defined() ? total + square : square;
  }
  if (!total.defined()) return 1.0;
  const double norm = std::sqrt(total.item<double>());
  return norm > options_.gradient_clip ? options_.gradient_clip / norm : 1.0;
}

void AdamW::update(int64_t step, double learning_rate) {
  torch::NoGradGuard no_grad;
  const double factor = clip_factor();
  const auto exponent = static_cast<double>(step);
  const double mean_correction = 1.0 - std::pow(options_.beta1, exponent);
  const double square_correction = 1.0 - std::pow(options_.beta2, exponent);
  for (TrainedTensor& tensor : tensors_) {
    if (!tensor.weight.grad().defined()) continue;
    const at::Tensor gradient = tensor.weight.grad().mul_(factor);
    tensor.mean.lerp_(gradient, 1.0 - options_.beta1);
    tensor.square.mul_(options_.beta2).addcmul_(gradient, gradient, 1.0 - options_.beta2);
    if (tensor.weight.dim() > 1) tensor.weight.mul_(1.0 - learning_rate * options_.weight_decay);
    const at::Tensor root = tensor.square.sqrt().div_(std::sqrt(square_correction)).add_(options_.epsilon);
    tensor.weight.addcdiv_(tensor.mean, root, -learning_rate / mean_correction);
    tensor.weight.mutable_grad() = at::Tensor();
  }
}

double learning_rate_at(int64_t step, int64_t steps, int64_t warmup, double peak) {
  if (step <= warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
  const double progress =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup));
  constexpr double kFloor = 0.1;
  return peak * (kFloor + (1.0 - kFloor) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace carat
