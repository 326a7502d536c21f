#include "eval/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

bool keep_going(int64_t, int64_t) { return true; }

void expect_same(const Comparison& a, const Comparison& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  for (const auto figure : {&Comparison::perplexity, &Comparison::reference_perplexity, &Comparison::perplexity_ratio,
                            &Comparison::mean_kld, &Comparison::median_kld, &Comparison::kld_999,
                            &Comparison::top1_agreement, &Comparison::top5_agreement, &Comparison::rms_delta_p}) {
    EXPECT_EQ((a.*figure).value, (b.*figure).value);
    EXPECT_EQ((a.*figure).standard_error, (b.*figure).standard_error);
  }
  EXPECT_EQ(a.histogram.counts, b.histogram.counts);
}

class CompareTest : public ::testing::Test {
 protected:
  EvalText text(size_t count) const { return one_document(random_ids(model_.config().vocabulary, 9, count, 1)); }
  EvalTask task(const EvalText& words) { return {words, {.positions = 40}, ops_.pool(), keep_going}; }

  Ops ops_{*all_kernels().front(), 1};
  Model model_ = Model::load(golden_model("e2b_bf16").folder, ops_).value();
};

TEST_F(CompareTest, AModelIsNoDistanceFromItself) {
  Model same = Model::load(golden_model("e2b_bf16").folder, ops_).value();
  const EvalText words = text(150);
  const Result<TextComparison> found = compare_models(model_, same, task(words));
  ASSERT_TRUE(found.ok()) << found.error().message;
  const Comparison& figures = found->whole;
  EXPECT_EQ(figures.tokens, 150);
  for (const Estimate& kld : {figures.mean_kld, figures.median_kld, figures.kld_999, figures.rms_delta_p}) {
    EXPECT_EQ(kld.value, 0.0);
    EXPECT_EQ(kld.standard_error, 0.0);
  }
  EXPECT_EQ(figures.top1_agreement.value, 1.0);
  EXPECT_EQ(figures.top5_agreement.value, 1.0);
  EXPECT_EQ(figures.perplexity_ratio.value, 1.0);
  EXPECT_EQ(figures.perplexity_ratio.standard_error, 0.0);
  EXPECT_EQ(figures.perplexity.value, figures.reference_perplexity.value);
}

TEST_F(CompareTest, TheSidesAreKeptApart) {
  Model other = Model::load(golden_model("e4b_f16").folder, ops_).value();
  const EvalText words = text(60);
  const Comparison there = compare_models(model_, other, task(words))->whole;
  const Comparison back = compare_models(other, model_, task(words))->whole;
  EXPECT_GT(there.mean_kld.value, 0.01);
  EXPECT_GT(there.mean_kld.standard_error, 0.0);
  EXPECT_LT(there.top1_agreement.value, 1.0);
  EXPECT_NE(there.mean_kld.value, back.mean_kld.value);
  EXPECT_EQ(there.top1_agreement.value, back.top1_agreement.value);
  EXPECT_EQ(there.top5_agreement.value, back.top5_agreement.value);
  EXPECT_EQ(there.rms_delta_p.value, back.rms_delta_p.value);
  EXPECT_NEAR(there.perplexity_ratio.value, there.perplexity.value / there.reference_perplexity.value, 1e-12);
  EXPECT_EQ(there.perplexity.value, back.reference_perplexity.value);
  EXPECT_EQ(there.perplexity.value, evaluate_model(model_, task(words))->whole.perplexity.value);
}

TEST_F(CompareTest, TheNumberOfThreadsChangesNothing) {
  Model other = Model::load(golden_model("e4b_f16").folder, ops_).value();
  const EvalText words = text(90);
  const TextComparison one = compare_models(model_, other, task(words)).value();
  ThreadPool threads(5);
  const TextComparison five = compare_models(model_, other, {words, {.positions = 40}, threads, keep_going}).value();
  expect_same(one.whole, five.whole);
}

/// A category is what a text of its documents alone would be.
TEST_F(CompareTest, CategoriesAreCountedApart) {
  Model other = Model::load(golden_model("e4b_f16").folder, ops_).value();
  const int64_t V = model_.config().vocabulary;
  EvalText words{.documents = {{random_ids(V, 1, 50, 1), 0},
                               {random_ids(V, 2, 45, 1), 1},
                               {random_ids(V, 3, 10, 1), {}},
                               {random_ids(V, 4, 41, 1), 0}},
                 .categories = {"a", "b"}};
  const TextComparison found = compare_models(model_, other, task(words)).value();
  ASSERT_EQ(found.categories.size(), 2u);
  EXPECT_EQ(found.whole.tokens, 146);
  for (const size_t category : {0, 1}) {
    EvalText alone;
    for (const EvalDocument& document : words.documents) {
      if (document.category == category) alone.documents.push_back({.ids = document.ids, .category = {}});
    }
    expect_same(found.categories[category], compare_models(model_, other, task(alone))->whole);
  }
}

TEST_F(CompareTest, RoundsTheKeysAndValuesOfTheModelAlone) {
  Model same = Model::load(golden_model("e2b_bf16").folder, ops_, {.batch = 7}).value();
  const EvalText words = text(60);
  const Comparison exact = compare_models(model_, same, task(words))->whole;
  EvalTask rounding = task(words);
  rounding.windows.cache_type = DType::kF16;
  const Comparison found = compare_models(model_, same, rounding)->whole;
  EXPECT_EQ(exact.mean_kld.value, 0.0);
  EXPECT_GT(found.mean_kld.value, 0.0);
  EXPECT_LT(found.mean_kld.value, 1e-4);
  EXPECT_EQ(found.reference_perplexity.value, exact.reference_perplexity.value);
}

TEST_F(CompareTest, RefusesACacheTypeThatDoesNotFitTheHeads) {
  const EvalText words = text(60);
  EvalTask rounding = task(words);
  rounding.windows.cache_type = DType::kQ8_0;
  EXPECT_EQ(evaluate_model(model_, rounding).error().kind, ErrorKind::kUsage);
}

TEST_F(CompareTest, AModelThatKnowsNothingHasItsVocabularyForPerplexity) {
  // A final norm of zeros makes all logits equal.
  TemporaryFolder folder;
  const Status written =
      write_edited(golden_model("e2b_bf16").folder, folder / "model", [](const auto& name, auto& values) {
        if (name == "model.norm.weight") std::fill(values.begin(), values.end(), 0.0f);
      });
  ASSERT_TRUE(written.ok()) << written.error().message;
  Model model = Model::load(folder / "model", ops_).value();
  const EvalText words = text(100);
  const Comparison found = evaluate_model(model, task(words))->whole;
  const auto V = static_cast<double>(model.config().vocabulary);
  EXPECT_NEAR(found.perplexity.value, V, 1e-9 * V);
  EXPECT_NEAR(found.perplexity.standard_error, 0.0, 1e-9);
}

TEST_F(CompareTest, PerplexityIsThatOfTheGoldenLogits) {
  const GoldenPrompt prompt = golden_model("e2b_bf16").prompts.front();
  const auto V = static_cast<size_t>(model_.config().vocabulary);
  RunningMean losses;
  for (size_t t = 0; t + 1 < prompt.ids.size(); ++t) {
    losses.add(judge_prediction(prompt.ids[t + 1], std::span(prompt.logits).subspan(t * V, V), {}).loss);
  }
  const EvalText words = one_document({prompt.ids.begin() + 1, prompt.ids.end()});  // without its BOS
  EvalTask whole = task(words);
  whole.windows.positions = 512;
  const double found = evaluate_model(model_, whole)->whole.perplexity.value;
  EXPECT_NEAR(found, std::exp(losses.mean()), 1e-4 * found);
}

class SavedReferenceTest : public CompareTest {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "reference.logits";
  Model other_ = Model::load(golden_model("e4b_f16").folder, ops_).value();
};

/// With h the most that a logit moves and K the divergence, KL(reference || model) moves by less than
/// h (sqrt(2 K) + 2 K) + h^2.
TEST_F(SavedReferenceTest, GivesTheFiguresWithinTheBoundOfItsGrid) {
  const EvalText words = text(120);
  ASSERT_TRUE(save_reference(other_, {"other", ""}, task(words), path_).ok());
  const ReferenceLogits saved = ReferenceLogits::open(path_).value();
  EXPECT_EQ(saved.header().origin.reference, "other");
  EXPECT_EQ(saved.header().predictions, 120);
  double h = 0;
  std::vector<float> row(static_cast<size_t>(saved.header().vocabulary));
  for (int64_t r = 0; r < 120; ++r) {
    ASSERT_TRUE(saved.read(r, row).ok());
    const auto [smallest, largest] = std::ranges::minmax(row);
    h = std::max(h, (static_cast<double>(largest) - smallest) / 131070);
  }
  const Comparison live = compare_models(model_, other_, task(words))->whole;
  const Comparison found = compare_with_logits(model_, saved, task(words))->whole;
  const double K = live.mean_kld.value;
  EXPECT_GT(K, 0.01);
  EXPECT_NE(found.mean_kld.value, K);
  EXPECT_NEAR(found.mean_kld.value, K, h * (std::sqrt(2 * K) + 2 * K) + h * h);
  EXPECT_NEAR(std::log(found.reference_perplexity.value), std::log(live.reference_perplexity.value), 2 * h);
  EXPECT_EQ(found.perplexity.value, live.perplexity.value);
  EXPECT_NEAR(found.top1_agreement.value, live.top1_agreement.value, 0.01);

  const Comparison itself = compare_with_logits(other_, saved, task(words))->whole;
  EXPECT_LT(itself.kld_999.value, h * h);
}

TEST_F(SavedReferenceTest, IsNotForAnotherTextAndOtherWindows) {
  const EvalText words = text(60);
  ASSERT_TRUE(save_reference(other_, {"other", ""}, task(words), path_).ok());
  const ReferenceLogits saved = ReferenceLogits::open(path_).value();
  const EvalText other = one_document(random_ids(model_.config().vocabulary, 10, 60, 1));
  EXPECT_NE(compare_with_logits(model_, saved, task(other)).error().message.find("another text"), std::string::npos);
  EvalTask wider = task(words);
  wider.windows.positions = 50;
  EXPECT_NE(compare_with_logits(model_, saved, wider).error().message.find("other windows"), std::string::npos);
}

TEST_F(SavedReferenceTest, LeavesNoFileWhenItIsStopped) {
  const EvalText words = text(60);
  EvalTask stopping = task(words);
  stopping.progress = [](int64_t, int64_t) { return false; };
  EXPECT_EQ(save_reference(other_, {"other", ""}, stopping, path_).error().kind, ErrorKind::kInterrupted);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST(SameVocabularyTest, AcceptsEqualPieces) {
  Vocabulary vocabulary;
  vocabulary.pieces = {"a", "b"};
  EXPECT_TRUE(check_same_vocabulary(vocabulary, vocabulary).ok());
}

TEST(SameVocabularyTest, SaysThatTheSizesDiffer) {
  Vocabulary small;
  small.pieces = {"a", "b"};
  Vocabulary large = small;
  large.pieces.push_back("c");
  const Status status = check_same_vocabulary(small, large);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kRefused);
  EXPECT_NE(status.error().message.find("2 pieces, the reference 3"), std::string::npos) << status.error().message;
}

TEST(SameVocabularyTest, NamesTheFirstPieceThatDiffers) {
  Vocabulary one;
  one.pieces = {"a", "b", "c"};
  Vocabulary other = one;
  other.pieces[1] = "x\n";
  other.pieces[2] = "y";
  const std::string message = check_same_vocabulary(one, other).error().message;
  EXPECT_NE(message.find("id 1 is \"b\" in the model and \"x\\x0a\" in the reference"), std::string::npos) << message;
}

}  // namespace
}  // namespace carat
