#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

bool keep_going(int64_t, int64_t) { return true; }

TEST(PerplexityOfTest, IsTheExponentOfTheMeanLoss) {
  RunningMean losses;
  for (const double loss : {1.0, 2.0, 3.0}) losses.add(loss);
  const Perplexity found = perplexity_of(losses);
  EXPECT_EQ(found.tokens, 3);
  EXPECT_NEAR(found.perplexity, std::exp(2.0), 1e-12);
  EXPECT_NEAR(found.perplexity_stderr, std::exp(2.0) * std::sqrt(1.0 / 3.0), 1e-12);
}

TEST(PerplexityTest, OfAModelThatKnowsNothingIsItsVocabulary) {
  // A final norm of zeros makes all logits equal.
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "knows-nothing";
  const Status written =
      write_edited(golden_model("e2b_bf16").folder, folder, [](const std::string& name, auto& values) {
        if (name == "model.norm.weight") std::fill(values.begin(), values.end(), 0.0f);
      });
  ASSERT_TRUE(written.ok()) << written.error().message;
  Ops ops(*all_kernels().front(), 1);
  Model model = Model::load(folder, ops).value();
  const auto V = model.config().vocabulary;
  const Result<Perplexity> found = measure_perplexity(model, random_ids(V, 5, 100, 1), {.positions = 32}, keep_going);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->tokens, 100);
  EXPECT_NEAR(found->perplexity, static_cast<double>(V), 1e-9 * static_cast<double>(V));
  EXPECT_NEAR(found->perplexity_stderr, 0.0, 1e-9);
}

TEST(PerplexityTest, IsThatOfTheGoldenLogits) {
  const GoldenModel golden = golden_model("e4b_f16");
  Ops ops(*all_kernels().front(), 1);
  Model model = Model::load(golden.folder, ops).value();
  const GoldenPrompt& prompt = golden.prompts.front();
  const auto V = static_cast<size_t>(model.config().vocabulary);
  RunningMean losses;
  for (size_t t = 0; t + 1 < prompt.ids.size(); ++t) {
    const LogProbabilities log_p(std::span(prompt.logits).subspan(t * V, V));
    losses.add(-log_p[static_cast<size_t>(prompt.ids[t + 1])]);
  }
  const std::span<const int32_t> text = std::span(prompt.ids).subspan(1);  // without its BOS
  const Result<Perplexity> found = measure_perplexity(model, text, {.positions = 512}, keep_going);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_NEAR(found->perplexity, std::exp(losses.mean()), 1e-4 * std::exp(losses.mean()));
}

}  // namespace
}  // namespace carat
