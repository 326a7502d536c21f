#include "eval/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

Prediction with_kld(double kld) { return {.loss = 1, .distance = ReferenceDistance{.reference_loss = 1, .kld = kld}}; }

TEST(ComparisonTest, IsWhatNumpyComputes) {
  const std::filesystem::path folder = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/eval";
  size_t V = 0;
  const std::vector<float> logits = read_npy(folder / "logits.npy", V);
  const std::vector<float> reference = read_npy(folder / "reference.npy", V);
  std::ifstream file(folder / "figures.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ComparisonTally tally;
  for (size_t n = 0; n < golden["targets"].size(); ++n) {
    tally.add(judge_prediction(golden["targets"][n], std::span(logits).subspan(n * V, V),
                               std::span(reference).subspan(n * V, V)));
  }
  const Comparison found = tally.finish();
  const nlohmann::json& figures = golden["figures"];
  EXPECT_EQ(found.tokens, figures["tokens"]);
  const auto expect_near = [&](const std::string& name, const Estimate& estimate) {
    const double value = figures[name];
    const double error = figures[name + "_stderr"];
    EXPECT_NEAR(estimate.value, value, 1e-9 * value) << name;
    EXPECT_NEAR(estimate.standard_error, error, 1e-9 * error) << name;
  };
  expect_near("perplexity", found.perplexity);
  expect_near("reference_perplexity", found.reference_perplexity);
  expect_near("perplexity_ratio", found.perplexity_ratio);
  expect_near("mean_kld", found.mean_kld);
  expect_near("median_kld", found.median_kld);
  expect_near("kld_999", found.kld_999);
  expect_near("top1_agreement", found.top1_agreement);
  expect_near("top5_agreement", found.top5_agreement);
  expect_near("rms_delta_p", found.rms_delta_p);
}

TEST(ComparisonTest, WithoutAReferenceThereIsOnlyPerplexity) {
  ComparisonTally tally;
  for (const double loss : {1.0, 2.0, 3.0}) tally.add({.loss = loss, .distance = {}});
  const Comparison found = tally.finish();
  EXPECT_EQ(found.tokens, 3);
  EXPECT_NEAR(found.perplexity.value, std::exp(2.0), 1e-12);
  EXPECT_NEAR(found.perplexity.standard_error, std::exp(2.0) * std::sqrt(1.0 / 3.0), 1e-12);
  EXPECT_EQ(found.mean_kld.value, 0.0);
  EXPECT_EQ(found.reference_perplexity.value, 0.0);
}

TEST(ComparisonTest, QuantilesAreValuesThatCame) {
  ComparisonTally tally;
  for (int i = 2000; i >= 1; --i) tally.add(with_kld(i));
  const Comparison found = tally.finish();
  EXPECT_EQ(found.median_kld.value, 1000);
  EXPECT_EQ(found.kld_999.value, 1998);
  // sqrt(2000 / 4) = 22.4 ranks to both sides, and sqrt(2000 * 0.999 * 0.001) = 1.4.
  EXPECT_EQ(found.median_kld.standard_error, 23);
  EXPECT_EQ(found.kld_999.standard_error, 2);
}

TEST(ComparisonTest, QuantilesOfFewValuesStayWithinThem) {
  ComparisonTally tally;
  tally.add(with_kld(3));
  EXPECT_EQ(tally.finish().kld_999.value, 3);
  EXPECT_EQ(tally.finish().median_kld.standard_error, 0);
  tally.add(with_kld(5));
  EXPECT_EQ(tally.finish().median_kld.value, 3);
  EXPECT_EQ(tally.finish().kld_999.value, 5);
  EXPECT_EQ(tally.finish().kld_999.standard_error, 1);
}

/// The standard error of the median of a normal distribution is sqrt(pi / 2) times that of the mean.
TEST(ComparisonTest, TheErrorOfAMedianIsThatOfManySamples) {
  ComparisonTally tally;
  Random random(7);
  constexpr int kCount = 40'000;
  for (int i = 0; i < kCount; ++i) tally.add(with_kld(100 + random.normal()));
  const double expected = std::sqrt(M_PI / 2 / kCount);
  EXPECT_NEAR(tally.finish().median_kld.standard_error, expected, 0.1 * expected);
}

TEST(KldHistogramTest, HasEightBinsToAPowerOfTen) {
  KldHistogram histogram;
  for (const double kld : {0.0, 1e-12, 1e-9, 1.3e-9}) histogram.add(kld);
  EXPECT_EQ(histogram.counts[0], 4u);
  histogram.add(1.4e-9);
  EXPECT_EQ(histogram.counts[1], 1u);
  histogram.add(1.0000001e-3);
  EXPECT_EQ(histogram.counts[6 * 8], 1u);
  for (const double kld : {99.0, 1e3, 1e300}) histogram.add(kld);
  EXPECT_EQ(histogram.counts.back(), 3u);
  EXPECT_EQ(std::accumulate(histogram.counts.begin(), histogram.counts.end(), uint64_t{0}), 9u);
}

}  // namespace
}  // namespace carat
