#include "train/torch_ops.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "train/head_loss.h"
#include "train/windowed_attention.h"

namespace carat {
namespace {

// Analytic gradients are compared with those that autograd derives from the same formula in float64.
constexpr double kTolerance = 2e-5;

at::Tensor leaf(at::IntArrayRef shape) { return at::randn(shape).set_requires_grad(true); }
at::Tensor wide(const at::Tensor& x) { return x.detach().to(at::kDouble).set_requires_grad(true); }
double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class TorchOps : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(7); }
};

TEST_F(TorchOps, RmsNormAndItsGradients) {
  const at::Tensor x = leaf({5, 3, 24}), weight = leaf({24}), upstream = at::randn({5, 3, 24});
  const at::Tensor wide_x = wide(x), wide_weight = wide(weight);
  const at::Tensor y = rms_norm(x, weight, 1e-6);
  const at::Tensor expected = wide_x * (wide_x.square().mean(-1, true) + 1e-6).rsqrt() * wide_weight;
  EXPECT_LT(difference(y, expected), kTolerance);
  (y * upstream).sum().backward();
  (expected * upstream).sum().backward();
  EXPECT_LT(difference(x.grad(), wide_x.grad()), kTolerance);
  EXPECT_LT(difference(weight.grad(), wide_weight.grad()), kTolerance);
}

TEST_F(TorchOps, RmsNormWithoutWeightIsThatWithOnes) {
  const at::Tensor x = at::randn({4, 16});
  EXPECT_TRUE(rms_norm(x, {}, 1e-6).equal(rms_norm(x, at::ones({16}), 1e-6)));
}

TEST_F(TorchOps, RotateAndItsGradient) {
  const at::Tensor x = leaf({2, 3, 7, 8}), upstream = at::randn({2, 3, 7, 8});
  const at::Tensor angle = at::randn({7, 4}, at::kDouble);
  const at::Tensor wide_x = wide(x);
  const at::Tensor low = wide_x.narrow(-1, 0, 4), high = wide_x.narrow(-1, 4, 4);
  const at::Tensor expected =
      at::cat({low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin()}, -1);
  const at::Tensor y = rotate(x, angle.cos().to(at::kFloat), angle.sin().to(at::kFloat));
  EXPECT_LT(difference(y, expected), kTolerance);
  (y * upstream).sum().backward();
  (expected * upstream).sum().backward();
  EXPECT_LT(difference(x.grad(), wide_x.grad()), kTolerance);
}

/// The definition, with all T x T scores.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t window) {
  const int64_t group = q.size(1) / k.size(1), positions = q.size(2);
  const at::Tensor keys = k.repeat_interleave(group, 1), values = v.repeat_interleave(group, 1);
  const at::Tensor distance = at::arange(positions).unsqueeze(1) - at::arange(positions);
  const at::Tensor hidden = (distance < 0) | (distance >= window);
  return at::matmul(at::matmul(q, keys.transpose(-1, -2)).masked_fill(hidden, -INFINITY).softmax(-1), values);
}

TEST_F(TorchOps, WindowedAttentionAndItsGradients) {
  for (int64_t positions : {1, 5, 8, 9, 16, 23}) {
    for (int64_t window : {1, 4, 8, 64}) {
      const at::Tensor q = leaf({2, 4, positions, 6}), k = leaf({2, 2, positions, 6}), v = leaf({2, 2, positions, 6});
      const at::Tensor wide_q = wide(q), wide_k = wide(k), wide_v = wide(v);
      const at::Tensor upstream = at::randn({2, 4, positions, 6});
      const at::Tensor y = windowed_attention(q, k, v, window);
      const at::Tensor expected = plain_attention(wide_q, wide_k, wide_v, window);
      ASSERT_EQ(y.sizes(), expected.sizes());
      EXPECT_LT(difference(y, expected), kTolerance) << positions << " positions, window " << window;
      (y * upstream).sum().backward();
      (expected * upstream).sum().backward();
      EXPECT_LT(difference(q.grad(), wide_q.grad()), kTolerance) << positions << " positions, window " << window;
      EXPECT_LT(difference(k.grad(), wide_k.grad()), kTolerance) << positions << " positions, window " << window;
      EXPECT_LT(difference(v.grad(), wide_v.grad()), kTolerance) << positions << " positions, window " << window;
    }
  }
}

// More tokens than one piece of the loss holds, and no whole number of pieces.
constexpr int64_t kTokens = 700, kHidden = 12, kVocabulary = 50;

TEST_F(TorchOps, NextTokenLossAndItsGradients) {
  for (double softcap : {0.0, 3.0}) {
    const at::Tensor hidden = leaf({kTokens, kHidden}), weight = leaf({kVocabulary, kHidden});
    const at::Tensor labels = at::randint(0, kVocabulary, {kTokens}, at::kLong);
    const at::Tensor wide_hidden = wide(hidden), wide_weight = wide(weight);
    at::Tensor logits = at::linear(wide_hidden, wide_weight);
    if (softcap > 0) logits = (logits / softcap).tanh() * softcap;
    const at::Tensor expected = at::cross_entropy_loss(logits, labels);
    const at::Tensor loss = next_token_loss({hidden, weight, softcap}, labels);
    EXPECT_NEAR(loss.item<double>(), expected.item<double>(), kTolerance);
    loss.backward();
    expected.backward();
    EXPECT_LT(difference(hidden.grad(), wide_hidden.grad()), kTolerance);
    EXPECT_LT(difference(weight.grad(), wide_weight.grad()), kTolerance);
  }
}

TEST_F(TorchOps, DistillationLossAndItsGradients) {
  const double softcap = 5.0;
  const at::Tensor hidden = leaf({kTokens, kHidden}), weight = leaf({kVocabulary, kHidden});
  const Head teacher{at::randn({kTokens, kHidden}), at::randn({kVocabulary, kHidden}), softcap};
  const auto capped = [&](const at::Tensor& h, const at::Tensor& w) {
    return (at::linear(h, w) / softcap).tanh() * softcap;
  };
  const at::Tensor wide_hidden = wide(hidden), wide_weight = wide(weight);
  const at::Tensor log_q = capped(wide_hidden, wide_weight).log_softmax(-1);
  const at::Tensor log_p = capped(wide(teacher.hidden), wide(teacher.weight)).detach().log_softmax(-1);
  const at::Tensor expected = (log_p.exp() * (log_p - log_q)).sum() / kTokens;
  const at::Tensor loss = distillation_loss({hidden, weight, softcap}, teacher);
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), kTolerance);
  loss.backward();
  expected.backward();
  EXPECT_LT(difference(hidden.grad(), wide_hidden.grad()), kTolerance);
  EXPECT_LT(difference(weight.grad(), wide_weight.grad()), kTolerance);
}

TEST_F(TorchOps, AModelIsAtNoDivergenceFromItself) {
  const Head head{at::randn({9, kHidden}), at::randn({kVocabulary, kHidden}), 30.0};
  EXPECT_EQ(distillation_loss(head, head).item<double>(), 0.0);
}

}  // namespace
}  // namespace carat
