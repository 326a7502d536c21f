#include "session/sampler.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

namespace carat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Sampler make(const SamplingOptions& options, size_t vocabulary, const std::vector<int32_t>& suppressed = {}) {
  return Sampler::create(options, static_cast<int32_t>(vocabulary), suppressed).value();
}

/// The pick after `accepted`, at temperature 0 unless the options say otherwise.
int32_t pick(const SamplingOptions& options, const std::vector<float>& logits,
             const std::vector<int32_t>& accepted = {}) {
  Sampler sampler = make(options, logits.size());
  for (const int32_t id : accepted) sampler.accept(id);
  return sampler.pick(logits).value();
}

/// All ids that 2000 draws gave.
std::set<int32_t> drawn(SamplingOptions options, const std::vector<float>& logits,
                        const std::vector<int32_t>& accepted = {}) {
  options.temperature = options.temperature == 0.0f ? 1.0f : options.temperature;
  Sampler sampler = make(options, logits.size());
  for (const int32_t id : accepted) sampler.accept(id);
  std::set<int32_t> ids;
  for (int i = 0; i < 2000; ++i) ids.insert(sampler.pick(logits).value());
  return ids;
}

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 7.0f);
  return logits;
}

const std::vector<float> kLogits = logs({0.05, 0.4, 0.1, 0.3, 0.15});

using Ids = std::set<int32_t>;

TEST(SamplerTest, TemperatureZeroPicksTheMostLikelyAndTheLowestOfEquals) {
  EXPECT_EQ(pick({}, {-3.0f, 2.0f, 1.0f}), 1);
  EXPECT_EQ(pick({}, {1.0f, 4.0f, 4.0f, 4.0f}), 1);
}

TEST(SamplerTest, TopKKeepsTheMostLikely) {
  EXPECT_EQ(drawn({.top_k = 2}, kLogits), (Ids{1, 3}));
  EXPECT_EQ(drawn({.top_k = 1}, kLogits), (Ids{1}));
  EXPECT_EQ(drawn({.top_k = 5}, kLogits), (Ids{0, 1, 2, 3, 4}));
  EXPECT_EQ(drawn({.top_k = 500}, kLogits), (Ids{0, 1, 2, 3, 4}));
}

TEST(SamplerTest, TopKKeepsTheLowestOfEquals) { EXPECT_EQ(drawn({.top_k = 2}, {1.0f, 1.0f, 1.0f, 1.0f}), (Ids{0, 1})); }

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  EXPECT_EQ(drawn({.top_p = 0.39f}, kLogits), (Ids{1}));
  EXPECT_EQ(drawn({.top_p = 0.41f}, kLogits), (Ids{1, 3}));
  EXPECT_EQ(drawn({.top_p = 0.84f}, kLogits), (Ids{1, 3, 4}));
  EXPECT_EQ(drawn({.top_p = 1.0f}, kLogits), (Ids{0, 1, 2, 3, 4}));
}

TEST(SamplerTest, TopPKeepsTheLowestOfEquals) {
  EXPECT_EQ(drawn({.top_p = 0.45f}, {1.0f, 1.0f, 1.0f, 1.0f}), (Ids{0, 1}));
}

TEST(SamplerTest, TopPSeesWhatTemperatureAndTopKLeft) {
  // Of the two that top-k leaves, the first alone holds 0.57; after the temperature it holds 0.64.
  EXPECT_EQ(drawn({.temperature = 1.0f, .top_k = 2, .top_p = 0.6f}, kLogits), (Ids{1, 3}));
  EXPECT_EQ(drawn({.temperature = 0.5f, .top_k = 2, .top_p = 0.6f}, kLogits), (Ids{1}));
}

TEST(SamplerTest, MinPComparesWithTheMostLikely) {
  EXPECT_EQ(drawn({.min_p = 0.24f}, kLogits), (Ids{1, 2, 3, 4})) << "0.1 is a quarter of 0.4";
  EXPECT_EQ(drawn({.min_p = 0.26f}, kLogits), (Ids{1, 3, 4}));
  EXPECT_EQ(drawn({.min_p = 1.0f}, kLogits), (Ids{1}));
}

TEST(SamplerTest, MinPSeesTheTemperature) {
  // Squared, 0.15 is 0.14 of 0.4.
  EXPECT_EQ(drawn({.temperature = 0.5f, .min_p = 0.2f}, kLogits), (Ids{1, 3}));
  EXPECT_EQ(drawn({.temperature = 1.0f, .min_p = 0.2f}, kLogits), (Ids{1, 2, 3, 4}));
}

TEST(SamplerTest, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogits) {
  EXPECT_EQ(pick({.repetition_penalty = 2.0f}, {3.0f, 1.6f, 0.0f}, {0}), 1) << "3 / 2 is below 1.6";
  EXPECT_EQ(pick({.repetition_penalty = 2.0f}, {3.0f, 1.4f, 0.0f}, {0}), 0) << "3 / 2 is above 1.4";
  EXPECT_EQ(pick({.repetition_penalty = 2.0f}, {-1.0f, -1.9f}, {0}), 1) << "-1 * 2 is below -1.9";
  EXPECT_EQ(pick({.repetition_penalty = 2.0f}, {-1.0f, -2.1f}, {0}), 0) << "-1 * 2 is above -2.1";
  EXPECT_EQ(pick({.repetition_penalty = 2.0f}, {3.0f, 1.4f}, {0, 0, 0}), 0) << "once, however often the id came";
  EXPECT_EQ(pick({.repetition_penalty = 0.5f}, {3.0f, 1.6f}, {1}), 1) << "1.6 / 0.5 is above 3";
}

TEST(SamplerTest, PresencePenaltyCountsAnIdOnce) {
  EXPECT_EQ(pick({.presence_penalty = 1.0f}, {2.0f, 0.9f}, {0, 0, 0}), 0);
  EXPECT_EQ(pick({.presence_penalty = 1.0f}, {2.0f, 1.1f}, {0}), 1);
  EXPECT_EQ(pick({.presence_penalty = -1.0f}, {2.0f, 1.1f}, {1}), 1);
}

TEST(SamplerTest, FrequencyPenaltyCountsEachTime) {
  EXPECT_EQ(pick({.frequency_penalty = 0.5f}, {2.0f, 0.6f}, {0, 0}), 0);
  EXPECT_EQ(pick({.frequency_penalty = 0.5f}, {2.0f, 0.6f}, {0, 0, 0}), 1);
}

TEST(SamplerTest, RepetitionComesBeforeTheOtherPenalties) {
  // 4 / 2 - 1 = 1; the other way round it would be 1.5.
  const SamplingOptions options{.repetition_penalty = 2.0f, .presence_penalty = 1.0f};
  EXPECT_EQ(pick(options, {4.0f, 1.1f}, {0}), 1);
  EXPECT_EQ(pick(options, {4.0f, 0.9f}, {0}), 0);
}

TEST(SamplerTest, ABiasComesBeforeThePenalties) {
  // (1 + 3) / 2 = 2; the other way round it would be 3.5.
  const SamplingOptions options{.repetition_penalty = 2.0f, .logit_bias = {{0, 3.0f}}};
  EXPECT_EQ(pick(options, {1.0f, 2.1f}, {0}), 1);
  EXPECT_EQ(pick(options, {1.0f, 1.9f}, {0}), 0);
}

TEST(SamplerTest, PenaltiesLookAtTheLastIds) {
  const std::vector<float> logits = {3.0f, 2.5f, 2.0f};
  SamplingOptions options{.presence_penalty = 2.0f, .penalty_window = 2};
  EXPECT_EQ(pick(options, logits, {0, 1}), 2);
  EXPECT_EQ(pick(options, logits, {0, 1, 1}), 0) << "the first id has left the window";
  EXPECT_EQ(pick(options, logits, {0, 1, 0, 2, 2}), 0);
  options.penalty_window = -1;
  EXPECT_EQ(pick(options, logits, {0, 1, 1}), 2);
  options.penalty_window = 0;
  EXPECT_EQ(pick(options, logits, {0, 1, 1}), 0);
}

TEST(SamplerTest, ForgetsWhatItAccepted) {
  for (const int32_t window : {-1, 2}) {
    Sampler sampler = make({.presence_penalty = 2.0f, .penalty_window = window}, 2);
    const std::vector<float> logits = {3.0f, 2.5f};
    sampler.accept(0);
    EXPECT_EQ(sampler.pick(logits).value(), 1);
    sampler.forget();
    EXPECT_EQ(sampler.pick(logits).value(), 0);
    for (int i = 0; i < 3; ++i) sampler.accept(1);
    EXPECT_EQ(sampler.pick(logits).value(), 0);
    sampler.accept(0);
    EXPECT_EQ(sampler.pick(logits).value(), 0) << "both are in the window";
  }
}

TEST(SamplerTest, AddsBiases) {
  EXPECT_EQ(pick({.logit_bias = {{2, 5.0f}}}, {1.0f, 2.0f, 0.0f}), 2);
  EXPECT_EQ(pick({.logit_bias = {{2, 1.0f}, {2, 1.5f}}}, {1.0f, 2.0f, 0.0f}), 2);
  EXPECT_EQ(drawn({.logit_bias = {{1, -kInfinity}}}, kLogits), (Ids{0, 2, 3, 4}));
  EXPECT_EQ(drawn({.top_k = 2, .logit_bias = {{1, -kInfinity}, {1, 100.0f}}}, kLogits), (Ids{3, 4}));
}

TEST(SamplerTest, NeverPicksWhatIsSuppressed) {
  Sampler greedy = make({.logit_bias = {{1, 100.0f}}}, 3, {1});
  EXPECT_EQ(greedy.pick(std::vector<float>{1.0f, 9.0f, 0.0f}).value(), 0);
  Sampler hot = make({.temperature = 100.0f, .presence_penalty = -2.0f}, 3, {1, 0});
  hot.accept(1);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(hot.pick(std::vector<float>{1.0f, 9.0f, 0.0f}).value(), 2);
}

TEST(SamplerTest, NothingLeftIsAnError) {
  for (const float temperature : {0.0f, 1.0f}) {
    Sampler sampler = make({.temperature = temperature, .logit_bias = {{0, -kInfinity}}}, 2, {1});
    const Result<int32_t> picked = sampler.pick(std::vector<float>{1.0f, 2.0f});
    ASSERT_FALSE(picked.ok());
    EXPECT_EQ(picked.error().kind, ErrorKind::kFailed);
    EXPECT_NE(picked.error().message.find("banned"), std::string::npos);
  }
}

TEST(SamplerTest, SameSeedSamePicks) {
  const auto picks = [&](uint64_t seed) {
    Sampler sampler = make({.temperature = 1.0f, .top_k = 3, .seed = seed}, kLogits.size());
    std::vector<int32_t> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(sampler.pick(kLogits).value());
    return ids;
  };
  EXPECT_EQ(picks(5), picks(5));
  EXPECT_NE(picks(5), picks(6));
}

TEST(SamplerTest, SurvivesExtremeLogits) {
  const float huge = std::numeric_limits<float>::max();
  EXPECT_EQ(pick({.temperature = 1e-30f}, {-huge, huge, 0.0f}), 1);
  const SamplingOptions penalties{.temperature = 1.0f, .repetition_penalty = 100.0f, .logit_bias = {{0, -1e4f}}};
  EXPECT_EQ(pick(penalties, {-huge, huge, 0.0f}, {0, 2}), 1);
  const SamplingOptions greed{.temperature = 1.0f, .repetition_penalty = 1e-30f, .presence_penalty = 2.0f};
  EXPECT_EQ(pick(greed, {0.0f, huge, -huge}, {1}), 1);
}

TEST(SamplerTest, RefusesOptionsByNameAndRange) {
  EXPECT_TRUE(validate({}).ok());
  const std::vector<std::pair<SamplingOptions, std::string>> wrong = {
      {{.temperature = -1.0f}, "temperature: expected 0 or more, found -1"},
      {{.temperature = kInfinity}, "temperature: expected 0 or more, found inf"},
      {{.temperature = NAN}, "temperature: "},
      {{.top_k = -1}, "top_k: expected 0 (all tokens) or more, found -1"},
      {{.top_p = 0.0f}, "top_p: expected more than 0 and at most 1, found 0"},
      {{.top_p = 1.1f}, "top_p: "},
      {{.top_p = NAN}, "top_p: "},
      {{.min_p = -0.1f}, "min_p: expected 0 to 1, found -0.1"},
      {{.min_p = 1.1f}, "min_p: "},
      {{.min_p = NAN}, "min_p: "},
      {{.repetition_penalty = 0.0f}, "repetition_penalty: expected more than 0 and at most 100, found 0"},
      {{.repetition_penalty = 101.0f}, "repetition_penalty: "},
      {{.repetition_penalty = NAN}, "repetition_penalty: "},
      {{.presence_penalty = 2.5f}, "presence_penalty: expected -2 to 2, found 2.5"},
      {{.presence_penalty = NAN}, "presence_penalty: "},
      {{.frequency_penalty = -2.5f}, "frequency_penalty: expected -2 to 2, found -2.5"},
      {{.frequency_penalty = kInfinity}, "frequency_penalty: "},
      {{.penalty_window = -2}, "penalty_window: expected -1 (all ids) to 1048576, found -2"},
      {{.penalty_window = kLargestPenaltyWindow + 1}, "penalty_window: "},
      {{.logit_bias = {{7, NAN}}}, "logit_bias: id 7: expected -10000 to 10000, or -inf to ban it, found"},
      {{.logit_bias = {{7, kInfinity}}}, "logit_bias: id 7: "},
      {{.logit_bias = {{7, 20000.0f}}}, "logit_bias: id 7: "}};
  for (const auto& [options, message] : wrong) {
    const Status status = validate(options);
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_EQ(status.error().kind, ErrorKind::kUsage);
    EXPECT_TRUE(status.error().message.starts_with(message)) << status.error().message;
    EXPECT_FALSE(Sampler::create(options, 8, {}).ok());
  }
}

TEST(SamplerTest, RefusesABiasOutsideTheVocabulary) {
  for (const int32_t id : {-1, 5, 1 << 30}) {
    const Result<Sampler> sampler = Sampler::create({.logit_bias = {{id, 1.0f}}}, 5, {});
    ASSERT_FALSE(sampler.ok());
    EXPECT_NE(sampler.error().message.find("expected ids from 0 to 4, found " + std::to_string(id)), std::string::npos);
  }
}

/// Logits of a few distinct values, so that ties are common.
std::vector<float> any_logits() {
  std::vector<float> logits;
  for (const int value : *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-6, 7)))) {
    logits.push_back(static_cast<float>(value) * 0.75f);
  }
  return logits;
}

TEST(SamplerTest, ATopKOfOneIsGreedy) {
  const bool held = rc::check("top-k 1, min-p 1 and a tiny top-p pick what temperature 0 picks", [] {
    const std::vector<float> logits = any_logits();
    const int32_t best = pick({}, logits);
    RC_ASSERT(pick({.temperature = 2.0f, .top_k = 1}, logits) == best);
    RC_ASSERT(pick({.temperature = 2.0f, .top_p = 1e-9f}, logits) == best);
    RC_ASSERT(logits[static_cast<size_t>(pick({.temperature = 2.0f, .min_p = 1.0f}, logits))] ==
              logits[static_cast<size_t>(best)]);
  });
  EXPECT_TRUE(held);
}

TEST(SamplerTest, WhatCutsNothingChangesNothing) {
  const bool held = rc::check("limits that keep everything give the same draw as no limits", [](uint64_t seed) {
    const std::vector<float> logits = any_logits();
    const auto all = static_cast<int32_t>(logits.size());
    const int32_t free = pick({.temperature = 1.5f, .seed = seed}, logits);
    RC_ASSERT(pick({.temperature = 1.5f, .top_k = all + 1, .seed = seed}, logits) == free);
    RC_ASSERT(pick({.temperature = 1.5f, .min_p = 1e-30f, .seed = seed}, logits) == free);
    RC_ASSERT(pick({.temperature = 1.5f, .penalty_window = -1, .seed = seed}, logits, {0, 0}) == free);
    RC_ASSERT(pick({.temperature = 1.5f, .logit_bias = {{0, 0.0f}}, .seed = seed}, logits) == free);
  });
  EXPECT_TRUE(held);
}

TEST(SamplerTest, AWindowSeesOnlyItsLastIds) {
  const bool held = rc::check("ids before the window do not count", [](const std::vector<uint8_t>& earlier) {
    const std::vector<float> logits = any_logits();
    const auto size = static_cast<int32_t>(logits.size());
    const auto window = *rc::gen::inRange<int32_t>(1, 6);
    const auto last = *rc::gen::container<std::vector<int32_t>>(static_cast<size_t>(window), rc::gen::inRange(0, size));
    std::vector<int32_t> all;
    for (const uint8_t id : earlier) all.push_back(id % size);
    all.insert(all.end(), last.begin(), last.end());
    const SamplingOptions options{
        .repetition_penalty = 1.3f, .presence_penalty = 0.5f, .frequency_penalty = 0.4f, .penalty_window = window};
    RC_ASSERT(pick(options, logits, all) == pick(options, logits, last));
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace carat
