#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace carat {

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) with bias correction, on float32 tensors.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.0;   ///< applied to matrices only, never to vectors
  double gradient_clip = 1.0;  ///< largest norm of all gradients together; larger ones are scaled down to it
};

struct TrainedTensor {
  std::string name;
  at::Tensor weight;  ///< the latent weight; its gradient is read and cleared
  at::Tensor mean;    ///< running mean of the gradient
  at::Tensor square;  ///< running mean of its square
};

class AdamW {
 public:
  AdamW(std::vector<TrainedTensor> tensors, AdamWOptions options) : tensors_(std::move(tensors)), options_(options) {}

  /// One update with the gradients that `backward` left in the weights. `step` counts from 1.
  void update(int64_t step, double learning_rate);

  const std::vector<TrainedTensor>& tensors() const { return tensors_; }

 private:
  double clip_factor() const;

  std::vector<TrainedTensor> tensors_;
  AdamWOptions options_;
};

/// Linear rise over `warmup` steps, then a cosine from `peak` to a tenth of it at step `steps`. `step` counts from 1.
double learning_rate_at(int64_t step, int64_t steps, int64_t warmup, double peak);

}  // namespace carat
