#include "eval/divergence.h"

#include <gtest/gtest.h>

#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

bool keep_going(int64_t, int64_t) { return true; }

class DivergenceTest : public ::testing::Test {
 protected:
  std::vector<int32_t> text(size_t count) const { return random_ids(model_.config().vocabulary, 9, count, 1); }

  Ops ops_{*all_kernels().front(), 1};
  Model model_ = Model::load(golden_model("e2b_bf16").folder, ops_).value();
};

TEST_F(DivergenceTest, OfAModelFromItselfIsZero) {
  Model same = Model::load(golden_model("e2b_bf16").folder, ops_).value();
  const Result<Divergence> found = measure_divergence(model_, same, text(150), {.positions = 40}, keep_going);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->model.tokens, 150);
  EXPECT_EQ(found->mean_kld, 0.0);
  EXPECT_EQ(found->mean_kld_stderr, 0.0);
  EXPECT_EQ(found->top1_agreement, 1.0);
  EXPECT_EQ(found->model.perplexity, found->reference.perplexity);
}

TEST_F(DivergenceTest, OfAnotherModelIsPositiveAndKeepsSidesApart) {
  Model other = Model::load(golden_model("e4b_f16").folder, ops_).value();
  const std::vector<int32_t> ids = text(60);
  const Divergence there = measure_divergence(model_, other, ids, {.positions = 40}, keep_going).value();
  const Divergence back = measure_divergence(other, model_, ids, {.positions = 40}, keep_going).value();
  EXPECT_GT(there.mean_kld, 0.01);
  EXPECT_GT(there.mean_kld_stderr, 0.0);
  EXPECT_LT(there.top1_agreement, 1.0);
  EXPECT_NE(there.mean_kld, back.mean_kld);
  EXPECT_EQ(there.top1_agreement, back.top1_agreement);
  EXPECT_EQ(there.model.perplexity, back.reference.perplexity);
  EXPECT_EQ(there.model.perplexity, measure_perplexity(model_, ids, {.positions = 40}, keep_going)->perplexity);
}

TEST_F(DivergenceTest, RoundsTheKeysAndValuesOfTheModelAlone) {
  Model same = Model::load(golden_model("e2b_bf16").folder, ops_, {.batch = 7}).value();
  const Divergence exact = measure_divergence(model_, same, text(60), {.positions = 40}, keep_going).value();
  const WindowOptions rounded = {.positions = 40, .cache_type = DType::kF16};
  const Divergence found = measure_divergence(model_, same, text(60), rounded, keep_going).value();
  EXPECT_EQ(exact.mean_kld, 0.0);
  EXPECT_GT(found.mean_kld, 0.0);
  EXPECT_LT(found.mean_kld, 1e-4);
  EXPECT_EQ(found.reference.perplexity, exact.reference.perplexity);
}

TEST_F(DivergenceTest, RefusesACacheTypeThatDoesNotFitTheHeads) {
  const WindowOptions options = {.positions = 40, .cache_type = DType::kQ8_0};
  EXPECT_EQ(measure_perplexity(model_, text(60), options, keep_going).error().kind, ErrorKind::kUsage);
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
