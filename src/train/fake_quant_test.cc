#include "train/fake_quant.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/torch.h>

#include <cstring>

#include "base/random.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr DType kLattices[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ8_0};
constexpr int64_t kColumns = 64;

std::vector<float> snapped(const at::Tensor& weight, DType dtype) {
  std::vector<float> values(static_cast<size_t>(weight.numel()));
  snap(dtype, std::span(weight.data_ptr<float>(), values.size()), values);
  return values;
}

/// Equality of every bit, the sign of zero included.
::testing::AssertionResult same_bits(const at::Tensor& tensor, const std::vector<float>& values) {
  const at::Tensor host = tensor.cpu().contiguous();
  const auto* bits = host.data_ptr<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::memcmp(bits + i, &values[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "value " << i << ": " << bits[i] << " and " << values[i];
    }
  }
  return ::testing::AssertionSuccess();
}

/// Rows of every size from subnormal to beyond the largest scale, with ties of both signs and blocks of zeros.
at::Tensor awkward_weights(uint64_t seed) {
  Random random(seed);
  at::Tensor weights = at::empty({96, kColumns}, at::kFloat);
  auto* values = weights.data_ptr<float>();
  for (int64_t row = 0; row < weights.size(0); ++row) {
    const float size = std::ldexp(1.0f, static_cast<int>(row * 2) - 100);
    for (int64_t column = 0; column < kColumns; ++column) {
      float value = random.normal() * size;
      if (row % 3 == 1) value = std::ldexp(std::round(random.normal() * 4.0f), static_cast<int>(row) - 60);
      if (row % 7 == 2) value = column % 2 == 0 ? size : -size;
      if (row % 11 == 5) value = 0.0f * (column % 2 == 0 ? 1.0f : -1.0f);
      values[row * kColumns + column] = value;
    }
  }
  return weights;
}

TEST(FakeQuant, OnTheCpuIsTheScalarDefinition) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const at::Tensor weights = awkward_weights(seed).clamp(-60000.0, 60000.0);
    for (DType dtype : kLattices) EXPECT_TRUE(same_bits(snap_tensor(weights, dtype), snapped(weights, dtype))) << seed;
  }
}

TEST(FakeQuant, InTensorOperationsIsTheScalarDefinition) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const at::Tensor weights = awkward_weights(seed);
    for (DType dtype : kLattices) {
      EXPECT_TRUE(same_bits(snap_with_tensor_operations(weights, dtype), snapped(weights, dtype)))
          << dtype_name(dtype) << ", seed " << seed;
    }
  }
}

TEST(FakeQuant, OnTheGpuIsTheScalarDefinition) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "this machine has no CUDA device";
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const at::Tensor weights = awkward_weights(seed);
    for (DType dtype : kLattices) {
      EXPECT_TRUE(same_bits(snap_tensor(weights.cuda(), dtype), snapped(weights, dtype)))
          << dtype_name(dtype) << ", seed " << seed;
    }
  }
}

TEST(FakeQuant, DoesNotDependOnTheNumberOfThreads) {
  const at::Tensor weights = at::randn({513, 1024}, at::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = snap_tensor(weights, DType::kQ4_0);
  at::set_num_threads(3);
  const at::Tensor three = snap_tensor(weights, DType::kQ4_0);
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(three));
}

TEST(FakeQuant, GradientPassesStraightThrough) {
  at::Tensor weights = at::randn({4, kColumns}, at::TensorOptions(at::kFloat)).set_requires_grad(true);
  const at::Tensor factor = at::randn({4, kColumns});
  (fake_quantize(weights, DType::kQ4_0) * factor).sum().backward();
  EXPECT_TRUE(weights.grad().equal(factor));
}

TEST(FakeQuant, TakesWeightsThatAreNotContiguous) {
  const at::Tensor weights = at::randn({kColumns, 32}).t();
  EXPECT_TRUE(same_bits(snap_tensor(weights, DType::kQ4_0), snapped(weights.contiguous(), DType::kQ4_0)));
}

}  // namespace
}  // namespace carat
