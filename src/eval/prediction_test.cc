#include "eval/prediction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.h"

namespace carat {
namespace {

std::vector<float> random_logits(Random& random, size_t V, float scale) {
  std::vector<float> logits(V);
  for (float& logit : logits) logit = scale * random.normal();
  return logits;
}

/// log softmax, with a sum for every id.
std::vector<long double> log_probabilities(const std::vector<float>& logits) {
  const long double largest = *std::max_element(logits.begin(), logits.end());
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  std::vector<long double> logs;
  for (const float logit : logits) logs.push_back(logit - largest - std::log(sum));
  return logs;
}

std::vector<size_t> five_most_likely(const std::vector<float>& logits) {
  std::vector<size_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), size_t{0});
  std::stable_sort(ids.begin(), ids.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  ids.resize(std::min<size_t>(5, ids.size()));
  return ids;
}

void expect_as_longhand(int32_t target, const std::vector<float>& logits, const std::vector<float>& reference) {
  const Prediction found = judge_prediction(target, logits, reference);
  const auto p = log_probabilities(reference);
  const auto q = log_probabilities(logits);
  const auto right = static_cast<size_t>(target);
  long double kld = 0;
  for (size_t id = 0; id < p.size(); ++id) kld += std::exp(p[id]) * (p[id] - q[id]);
  EXPECT_NEAR(found.loss, static_cast<double>(-q[right]), 1e-12 * (1 - static_cast<double>(q[right])));
  ASSERT_TRUE(found.distance);
  EXPECT_NEAR(found.distance->reference_loss, static_cast<double>(-p[right]),
              1e-12 * (1 - static_cast<double>(p[right])));
  EXPECT_NEAR(found.distance->kld, static_cast<double>(kld), 1e-12 * (1 + static_cast<double>(kld)));
  EXPECT_NEAR(found.distance->delta_p, static_cast<double>(std::exp(q[right]) - std::exp(p[right])), 1e-13);

  const auto five_p = five_most_likely(reference);
  const auto five_q = five_most_likely(logits);
  const auto shared = std::ranges::count_if(five_p, [&](size_t id) { return std::ranges::count(five_q, id) > 0; });
  EXPECT_EQ(found.distance->top1, five_p.front() == five_q.front() ? 1 : 0);
  EXPECT_EQ(found.distance->top5, static_cast<double>(shared) / static_cast<double>(five_p.size()));
}

TEST(PredictionTest, IsWhatTheDefinitionsSay) {
  Random random(1);
  for (const size_t V : {1, 2, 4, 5, 6, 50, 5000}) {
    for (const float noise : {1e-4f, 0.1f, 10.0f}) {
      const std::vector<float> reference = random_logits(random, V, 5);
      std::vector<float> logits = random_logits(random, V, noise);
      std::ranges::transform(logits, reference, logits.begin(), std::plus());
      expect_as_longhand(static_cast<int32_t>(V / 2), logits, reference);
    }
  }
}

/// Few different logits, so that most of them are equal to others.
TEST(PredictionTest, OfEqualLogitsTheLowerIdCountsAsMoreLikely) {
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> logits = random_logits(random, 12, 1);
    std::vector<float> reference = random_logits(random, 12, 1);
    for (float& logit : logits) logit = std::round(logit);
    for (float& logit : reference) logit = std::round(logit);
    expect_as_longhand(3, logits, reference);
  }
}

TEST(PredictionTest, EqualLogitsAreNoDistanceApart) {
  Random random(3);
  const std::vector<float> logits = random_logits(random, 4096, 8);
  const Prediction found = judge_prediction(17, logits, logits);
  EXPECT_EQ(found.distance->kld, 0.0);
  EXPECT_EQ(found.distance->delta_p, 0.0);
  EXPECT_EQ(found.distance->top1, 1.0);
  EXPECT_EQ(found.distance->top5, 1.0);
  EXPECT_EQ(found.distance->reference_loss, found.loss);
}

TEST(PredictionTest, WithoutAReferenceTheLossIsTheSame) {
  Random random(4);
  const std::vector<float> logits = random_logits(random, 100, 8);
  const Prediction alone = judge_prediction(5, logits, {});
  EXPECT_FALSE(alone.distance);
  EXPECT_EQ(alone.loss, judge_prediction(5, logits, logits).loss);
}

TEST(PredictionTest, LargeLogitsDoNotOverflow) {
  const std::vector<float> one = {3e38f, -3e38f, 0.0f};
  const std::vector<float> other = {-3e38f, 3e38f, 0.0f};
  EXPECT_EQ(judge_prediction(0, one, one).loss, 0.0);
  const Prediction found = judge_prediction(0, one, other);
  EXPECT_NEAR(found.distance->kld, 6e38, 1e32);
  EXPECT_EQ(found.distance->delta_p, 1.0);
  EXPECT_TRUE(std::isfinite(found.distance->reference_loss));
}

TEST(PredictionTest, IdsThatTheReferenceExcludesCountNothing) {
  const std::vector<float> reference = {0.0f, -1e9f};
  const std::vector<float> logits = {0.0f, 0.0f};
  EXPECT_NEAR(judge_prediction(0, logits, reference).distance->kld, std::log(2.0), 1e-15);
}

TEST(PredictionTest, IsNeverBelowZero) {
  Random random(5);
  for (int i = 0; i < 1000; ++i) {
    const std::vector<float> reference = random_logits(random, 300, 3);
    std::vector<float> logits = reference;
    logits[static_cast<size_t>(i) % 300] += 1e-7f;
    EXPECT_GE(judge_prediction(0, logits, reference).distance->kld, 0.0);
  }
}

}  // namespace
}  // namespace carat
