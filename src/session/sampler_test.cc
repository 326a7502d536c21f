#include "session/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

namespace carat {
namespace {

std::map<int32_t, int> count_picks(const SamplingOptions& options, const std::vector<float>& logits, int picks) {
  Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < picks; ++i) ++counts[sampler.pick(logits)];
  return counts;
}

/// The sum of (observed - expected)^2 / expected over all ids.
double chi_square(const std::map<int32_t, int>& observed, const std::vector<double>& probabilities, int picks) {
  double sum = 0.0;
  for (size_t id = 0; id < probabilities.size(); ++id) {
    const auto found = observed.find(static_cast<int32_t>(id));
    const double distance = (found == observed.end() ? 0 : found->second) - probabilities[id] * picks;
    sum += distance * distance / (probabilities[id] * picks);
  }
  return sum;
}

std::set<int32_t> ids_of(const std::map<int32_t, int>& counts) {
  std::set<int32_t> ids;
  for (const auto& [id, count] : counts) ids.insert(id);
  return ids;
}

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 7.0f);
  return logits;
}

const std::vector<double> kProbabilities = {0.05, 0.4, 0.1, 0.3, 0.15};

// The chi-square distribution with 4 degrees of freedom is above 18.5 once in a thousand times.
constexpr double kChiSquareBound = 18.5;

TEST(SamplerTest, TemperatureZeroPicksTheMostLikelyAndTheLowestOfEquals) {
  Sampler sampler({});
  EXPECT_EQ(sampler.pick(std::vector<float>{-3.0f, 2.0f, 1.0f}), 1);
  EXPECT_EQ(sampler.pick(std::vector<float>{1.0f, 4.0f, 4.0f, 4.0f}), 1);
}

TEST(SamplerTest, DrawsFromTheSoftmax) {
  const auto counts = count_picks({.temperature = 1.0f, .seed = 11}, logs(kProbabilities), 50000);
  EXPECT_LT(chi_square(counts, kProbabilities, 50000), kChiSquareBound);
}

TEST(SamplerTest, DividesLogitsByTheTemperature) {
  std::vector<double> sharpened;
  double sum = 0.0;
  for (const double p : kProbabilities) sum += sharpened.emplace_back(p * p);
  for (double& p : sharpened) p /= sum;
  const auto counts = count_picks({.temperature = 0.5f, .seed = 12}, logs(kProbabilities), 50000);
  EXPECT_LT(chi_square(counts, sharpened, 50000), kChiSquareBound);
}

TEST(SamplerTest, TopKKeepsTheProportionsOfTheMostLikely) {
  const auto counts = count_picks({.temperature = 1.0f, .top_k = 2, .seed = 13}, logs(kProbabilities), 20000);
  EXPECT_EQ(ids_of(counts), (std::set<int32_t>{1, 3}));
  EXPECT_NEAR(counts.at(1) / 20000.0, 0.4 / 0.7, 0.015);
}

TEST(SamplerTest, TopKKeepsTheLowestOfEquals) {
  const auto counts = count_picks({.temperature = 1.0f, .top_k = 2, .seed = 14}, {1.0f, 1.0f, 1.0f, 1.0f}, 1000);
  EXPECT_EQ(ids_of(counts), (std::set<int32_t>{0, 1}));
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  const std::vector<float> logits = logs(kProbabilities);
  EXPECT_EQ(ids_of(count_picks({.temperature = 1.0f, .top_p = 0.39f}, logits, 2000)), (std::set<int32_t>{1}));
  EXPECT_EQ(ids_of(count_picks({.temperature = 1.0f, .top_p = 0.41f}, logits, 2000)), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(ids_of(count_picks({.temperature = 1.0f, .top_p = 0.84f}, logits, 2000)), (std::set<int32_t>{1, 3, 4}));
  EXPECT_EQ(ids_of(count_picks({.temperature = 1.0f, .top_p = 1.0f}, logits, 2000)),
            (std::set<int32_t>{0, 1, 2, 3, 4}));
}

TEST(SamplerTest, TopPSeesWhatTemperatureAndTopKLeft) {
  // Of the two that top-k leaves, the first alone holds 0.57; after the temperature it holds 0.64.
  const std::vector<float> logits = logs(kProbabilities);
  const SamplingOptions warm{.temperature = 1.0f, .top_k = 2, .top_p = 0.6f};
  const SamplingOptions cold{.temperature = 0.5f, .top_k = 2, .top_p = 0.6f};
  EXPECT_EQ(ids_of(count_picks(warm, logits, 2000)), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(ids_of(count_picks(cold, logits, 2000)), (std::set<int32_t>{1}));
}

TEST(SamplerTest, SameSeedSamePicks) {
  const std::vector<float> logits = logs(kProbabilities);
  const auto picks = [&](uint64_t seed) {
    Sampler sampler({.temperature = 1.0f, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(sampler.pick(logits));
    return ids;
  };
  EXPECT_EQ(picks(5), picks(5));
  EXPECT_NE(picks(5), picks(6));
}

TEST(SamplerTest, SurvivesExtremeLogits) {
  const float huge = std::numeric_limits<float>::max();
  EXPECT_EQ(Sampler({.temperature = 1e-30f}).pick(std::vector<float>{-huge, huge, 0.0f}), 1);
}

TEST(SamplerTest, RefusesOptionsThatMakeNoSense) {
  EXPECT_TRUE(validate(SamplingOptions{}).ok());
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = -1.0f}, SamplingOptions{.temperature = INFINITY},
        SamplingOptions{.temperature = NAN}, SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 0.0f},
        SamplingOptions{.top_p = 1.1f}, SamplingOptions{.top_p = NAN}}) {
    const Status status = validate(options);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace carat
