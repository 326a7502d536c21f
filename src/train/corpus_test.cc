#include "train/corpus.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace carat {
namespace {

constexpr int32_t kBos = 1000;

Corpus counting_corpus(int32_t size) {
  std::vector<int32_t> tokens(static_cast<size_t>(size));
  std::iota(tokens.begin(), tokens.end(), 0);
  return Corpus::from_tokens(tokens, kBos);
}

TEST(Corpus, ARowIsBosAndThenConsecutiveTokensWithTheNextOneAsLabel) {
  Corpus corpus = counting_corpus(100);
  const Batch batch = corpus.batch(3, 0, 4, 8);
  ASSERT_EQ(batch.ids.size(), 32u);
  for (size_t row = 0; row < 4; ++row) {
    EXPECT_EQ(batch.ids[row * 8], kBos);
    for (size_t i = 0; i + 1 < 8; ++i) {
      EXPECT_EQ(batch.ids[row * 8 + i + 1], batch.labels[row * 8 + i]);
      EXPECT_EQ(batch.labels[row * 8 + i + 1], batch.labels[row * 8 + i] + 1);
    }
  }
}

TEST(Corpus, AnEpochSeesEveryWindowOnceAndTheNextOneInAnotherOrder) {
  Corpus corpus = counting_corpus(83);
  const Batch first = corpus.batch(3, 0, 10, 8), second = corpus.batch(3, 10, 10, 8);
  EXPECT_EQ(std::set<int64_t>(first.labels.begin(), first.labels.end()).size(), 80u);
  EXPECT_EQ(std::set<int64_t>(second.labels.begin(), second.labels.end()).size(), 80u);
  EXPECT_NE(first.labels, second.labels);
}

TEST(Corpus, TheOrderIsAFunctionOfTheSeedAndTheSequenceNumber) {
  Corpus one = counting_corpus(500), other = counting_corpus(500);
  const Batch whole = one.batch(9, 0, 150, 8);
  const Batch later = other.batch(9, 100, 50, 8);
  EXPECT_TRUE(std::equal(later.ids.begin(), later.ids.end(), whole.ids.begin() + 100 * 8));
  EXPECT_NE(other.batch(10, 0, 150, 8).ids, whole.ids);
}

}  // namespace
}  // namespace carat
