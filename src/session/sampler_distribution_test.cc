#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "session/sampler.h"

namespace carat {
namespace {

constexpr int kDraws = 100000;
constexpr size_t kIds = 20;

/// Twenty logits without order; the probabilities run from 0.002 to 0.2.
std::vector<double> logits() {
  std::vector<double> values;
  for (size_t id = 0; id < kIds; ++id) values.push_back(0.25 * static_cast<double>(id * 7 % kIds) - 2.0);
  return values;
}

/// What is accepted before the draws: ids 3 and 8 several times, 15 and 19 once.
const std::vector<int32_t> kAccepted = {3, 8, 15, 3, 8, 3, 19};

void normalize(std::vector<double>& probabilities) {
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& p : probabilities) p /= sum;
}

std::vector<size_t> by_likelihood(const std::vector<double>& probabilities) {
  std::vector<size_t> ids(probabilities.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
  return ids;
}

/// The logits after biases and penalties, by the definitions of docs/sampling.md.
std::vector<double> judged(const SamplingOptions& options) {
  std::vector<double> values = logits();
  for (const LogitBias& bias : options.logit_bias) values[static_cast<size_t>(bias.id)] += bias.value;
  const size_t all = kAccepted.size();
  const size_t window = options.penalty_window < 0 ? all : std::min(all, static_cast<size_t>(options.penalty_window));
  std::map<int32_t, int> counts;
  for (size_t i = all - window; i < all; ++i) ++counts[kAccepted[i]];
  for (const auto& [id, count] : counts) {
    double& value = values[static_cast<size_t>(id)];
    value = value > 0 ? value / options.repetition_penalty : value * options.repetition_penalty;
    value -= options.presence_penalty + count * options.frequency_penalty;
  }
  return values;
}

/// The probability of each id, in plain steps.
std::vector<double> expected(const SamplingOptions& options) {
  std::vector<double> p;
  for (const double value : judged(options)) p.push_back(std::exp(value / static_cast<double>(options.temperature)));
  normalize(p);
  std::vector<size_t> order = by_likelihood(p);
  for (size_t rank = static_cast<size_t>(options.top_k); options.top_k > 0 && rank < order.size(); ++rank)
    p[order[rank]] = 0;
  normalize(p);
  double sum = 0;
  for (const size_t id : order) {
    if (sum >= static_cast<double>(options.top_p)) p[id] = 0;
    sum += p[id];
  }
  const double least = *std::max_element(p.begin(), p.end()) * static_cast<double>(options.min_p);
  for (double& value : p) value = value < least ? 0 : value;
  normalize(p);
  return p;
}

std::vector<int> drawn(const SamplingOptions& options) {
  std::vector<float> values;
  for (const double value : logits()) values.push_back(static_cast<float>(value));
  Sampler sampler = Sampler::create(options, kIds, {}).value();
  for (const int32_t id : kAccepted) sampler.accept(id);
  std::vector<int> counts(kIds);
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.pick(values).value())];
  return counts;
}

/// The value that a chi-square variable exceeds once in 10,000 times, within 3 % (E. Wilson, M. Hilferty, "The
/// Distribution of Chi-Square", 1931).
double chi_square_bound(int degrees) {
  constexpr double kNormalQuantile = 3.719;
  const double spread = 2.0 / (9.0 * degrees);
  return degrees * std::pow(1.0 - spread + kNormalQuantile * std::sqrt(spread), 3);
}

void expect_distribution(const SamplingOptions& options, int ids_left) {
  const std::vector<double> p = expected(options);
  const std::vector<int> counts = drawn(options);
  double chi_square = 0;
  for (size_t id = 0; id < kIds; ++id) {
    if (p[id] == 0) {
      EXPECT_EQ(counts[id], 0) << "id " << id;
      continue;
    }
    const double wanted = p[id] * kDraws;
    EXPECT_GT(wanted, 5) << "too rare for the test";
    chi_square += (counts[id] - wanted) * (counts[id] - wanted) / wanted;
  }
  EXPECT_EQ(std::ranges::count_if(p, [](double value) { return value > 0; }), ids_left)
      << "the case is not what it was";
  EXPECT_LT(chi_square, chi_square_bound(ids_left - 1));
}

TEST(SamplerDistributionTest, TheBoundIsThatOfTheTables) {
  EXPECT_NEAR(chi_square_bound(4) / 23.51, 1.0, 0.03);
  EXPECT_NEAR(chi_square_bound(19) / 50.80, 1.0, 0.03);
}

TEST(SamplerDistributionTest, Plain) { expect_distribution({.temperature = 1.0f, .seed = 1}, 20); }

TEST(SamplerDistributionTest, Temperature) {
  expect_distribution({.temperature = 0.7f, .seed = 2}, 20);
  expect_distribution({.temperature = 3.0f, .seed = 3}, 20);
}

TEST(SamplerDistributionTest, TopK) { expect_distribution({.temperature = 1.0f, .top_k = 6, .seed = 4}, 6); }

TEST(SamplerDistributionTest, TopP) { expect_distribution({.temperature = 1.0f, .top_p = 0.8f, .seed = 5}, 7); }

TEST(SamplerDistributionTest, MinP) { expect_distribution({.temperature = 1.0f, .min_p = 0.1f, .seed = 6}, 10); }

TEST(SamplerDistributionTest, RepetitionPenalty) {
  expect_distribution({.temperature = 1.0f, .repetition_penalty = 1.5f, .seed = 7}, 20);
  expect_distribution({.temperature = 1.0f, .repetition_penalty = 0.8f, .penalty_window = -1, .seed = 8}, 20);
}

TEST(SamplerDistributionTest, PresenceAndFrequencyPenalty) {
  expect_distribution({.temperature = 1.0f, .presence_penalty = 1.2f, .seed = 9}, 20);
  expect_distribution({.temperature = 1.0f, .frequency_penalty = 0.6f, .penalty_window = 4, .seed = 10}, 20);
  expect_distribution({.temperature = 1.0f, .frequency_penalty = -0.4f, .seed = 11}, 20);
}

TEST(SamplerDistributionTest, LogitBias) {
  expect_distribution({.temperature = 1.0f, .logit_bias = {{0, 2.0f}, {3, -1.5f}}, .seed = 12}, 20);
}

TEST(SamplerDistributionTest, EverythingTogether) {
  expect_distribution({.temperature = 0.9f,
                       .top_k = 16,
                       .top_p = 0.95f,
                       .min_p = 0.06f,
                       .repetition_penalty = 1.2f,
                       .presence_penalty = 0.3f,
                       .frequency_penalty = 0.2f,
                       .penalty_window = 5,
                       .logit_bias = {{4, 1.0f}, {19, 0.5f}},
                       .seed = 13},
                      11);
}

}  // namespace
}  // namespace carat
