#include "eval/distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace carat {
namespace {

TEST(LogProbabilitiesTest, AreThoseOfTheSoftmax) {
  const std::vector<float> logits = {1.0f, 2.0f, 3.0f};
  const LogProbabilities log_p(logits);
  const double sum = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(log_p[i], std::log(std::exp(1.0 + static_cast<double>(i)) / sum), 1e-15);
}

TEST(LogProbabilitiesTest, OfEqualLogitsAreUniform) {
  const std::vector<float> logits(7, -3.5f);
  EXPECT_NEAR(LogProbabilities(logits)[4], -std::log(7.0), 1e-15);
}

TEST(LogProbabilitiesTest, DoNotOverflow) {
  const std::vector<float> logits = {1e30f, -1e30f};
  EXPECT_EQ(LogProbabilities(logits)[0], 0.0);
}

TEST(ForwardKldTest, IsZeroForEqualLogits) {
  const std::vector<float> logits = {0.3f, -1.7f, 9.25f, 4.0f};
  EXPECT_EQ(forward_kld(LogProbabilities(logits), LogProbabilities(logits)), 0.0);
}

TEST(ForwardKldTest, IsThatOfAKnownPair) {
  const std::vector<float> even = {0.0f, 0.0f};
  const std::vector<float> uneven = {std::log(3.0f), 0.0f};  // 3/4, 1/4
  const double forward = 0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25);
  const double backward = 0.75 * std::log(0.75 / 0.5) + 0.25 * std::log(0.25 / 0.5);
  EXPECT_NEAR(forward_kld(LogProbabilities(even), LogProbabilities(uneven)), forward, 1e-7);
  EXPECT_NEAR(forward_kld(LogProbabilities(uneven), LogProbabilities(even)), backward, 1e-7);
}

TEST(ForwardKldTest, TokensThatTheReferenceExcludesCountNothing) {
  const std::vector<float> reference = {0.0f, -1e9f};
  const std::vector<float> model = {0.0f, 0.0f};
  EXPECT_NEAR(forward_kld(LogProbabilities(reference), LogProbabilities(model)), std::log(2.0), 1e-15);
}

TEST(RunningMeanTest, KnowsMeanAndStandardError) {
  RunningMean values;
  for (const double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) values.add(value);
  EXPECT_EQ(values.count(), 8);
  EXPECT_NEAR(values.mean(), 5.0, 1e-15);
  EXPECT_NEAR(values.standard_error(), std::sqrt(32.0 / 7.0 / 8.0), 1e-15);
}

TEST(RunningMeanTest, OneValueHasNoError) {
  RunningMean values;
  values.add(3.0);
  EXPECT_EQ(values.standard_error(), 0.0);
}

}  // namespace
}  // namespace carat
