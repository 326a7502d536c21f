#include "train/fake_quant.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "lattice/lattice.h"
#include "tensor/block.h"

namespace carat {
namespace {

// A multiple of every block length, and long enough that starting a thread pays.
constexpr int64_t kValuesPerTask = 1 << 15;

constexpr double kLargestF16 = 65504.0, kLargestBF16 = 0x1.fep127;

at::Tensor snap_on_cpu(const at::Tensor& weight, DType dtype) {
  const at::Tensor source = weight.contiguous();
  at::Tensor snapped = at::empty_like(source);
  const float* in = source.data_ptr<float>();
  float* out = snapped.data_ptr<float>();
  const int64_t tasks = (source.numel() + kValuesPerTask - 1) / kValuesPerTask;
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kValuesPerTask;
    const auto count = static_cast<size_t>(std::min(end * kValuesPerTask, source.numel()) - first);
    snap(dtype, std::span(in + first, count), std::span(out + first, count));
  });
  return snapped;
}

at::Tensor snap_q4_0(const at::Tensor& weight) {
  const at::Tensor blocks = weight.contiguous().view({-1, kQ4_0Elements});
  const at::Tensor magnitude = blocks.abs();
  const at::Tensor largest = magnitude.amax(1, /*keepdim=*/true);
  // argmax promises no order among ties; weights that fall from left to right make the first one win.
  const at::Tensor fall = at::arange(kQ4_0Elements, 0, -1, blocks.options());
  const at::Tensor first = (magnitude == largest).to(at::kFloat).mul(fall).argmax(1, /*keepdim=*/true);
  const at::Tensor step = blocks.gather(1, first) / -8.0;

  constexpr double kLargestScale = 65280.0;
  const at::Tensor scale =
      step.to(at::kBFloat16).to(at::kFloat).clamp(-kLargestScale, kLargestScale).to(at::kHalf).to(at::kFloat);
  const at::Tensor vanishes = scale == 0;
  const at::Tensor inverse = step.reciprocal().masked_fill(vanishes, 0.0);
  const at::Tensor codes = (blocks * inverse + 8.5).trunc().clamp_max(15.0) - 8.0;
  return (codes * scale).masked_fill(vanishes, 0.0).view(weight.sizes());
}

at::Tensor snap_q8_0(const at::Tensor& weight) {
  const at::Tensor blocks = weight.contiguous().view({-1, BlockQ8_0::kElements});
  const at::Tensor largest = blocks.abs().amax(1, /*keepdim=*/true);
  // A GPU would multiply by the rounded reciprocal of a plain number.
  const at::Tensor step = largest / at::full_like(largest, 127.0);
  const at::Tensor scale = step.clamp_max(kLargestF16).to(at::kHalf).to(at::kFloat);
  const at::Tensor vanishes = scale == 0;
  const at::Tensor quotient = blocks * step.reciprocal().masked_fill(vanishes, 0.0);
  const at::Tensor magnitude = quotient.abs();
  const at::Tensor whole = magnitude.floor();
  const at::Tensor rounded = whole + (magnitude - whole >= 0.5).to(at::kFloat);
  const at::Tensor codes = at::where(quotient < 0, 0.0 - rounded, rounded);  // never -0
  return (codes * scale).view(weight.sizes());
}

class StraightThrough : public torch::autograd::Function<StraightThrough> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& weight, int64_t dtype) {
    return snap_tensor(weight, static_cast<DType>(dtype));
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*,
                                               torch::autograd::tensor_list gradients) {
    return {gradients[0], at::Tensor()};
  }
};

}  // namespace

at::Tensor snap_with_tensor_operations(const at::Tensor& weight, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return weight;
    case DType::kF16:
      return weight.clamp(-kLargestF16, kLargestF16).to(at::kHalf).to(at::kFloat);
    case DType::kBF16:
      return weight.clamp(-kLargestBF16, kLargestBF16).to(at::kBFloat16).to(at::kFloat);
    case DType::kQ4_0:
      return snap_q4_0(weight);
    case DType::kQ8_0:
      return snap_q8_0(weight);
    default:
      break;
  }
  CARAT_CHECK(false, "weights are moved to types that can be encoded");
}

at::Tensor snap_tensor(const at::Tensor& weight, DType dtype) {
  CARAT_CHECK(weight.scalar_type() == at::kFloat, "latent weights are float32");
  const int64_t columns = weight.dim() == 0 ? 1 : weight.size(-1);
  CARAT_CHECK(columns % block_elements(dtype) == 0, "rows are whole blocks");
  if (dtype == DType::kF32) return weight;
  return weight.device().is_cpu() ? snap_on_cpu(weight, dtype) : snap_with_tensor_operations(weight, dtype);
}

at::Tensor fake_quantize(const at::Tensor& weight, DType dtype) {
  if (dtype == DType::kF32) return weight;
  return StraightThrough::apply(weight, static_cast<int64_t>(dtype));
}

}  // namespace carat
