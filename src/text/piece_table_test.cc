#include "text/piece_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace carat {
namespace {

TEST(PieceTable, FindsEachPieceAndNoOtherText) {
  std::mt19937 random(1);
  std::set<std::string> texts;
  while (texts.size() < 3000) texts.insert(std::to_string(random() % 100000));
  const std::vector<std::string> pieces(texts.begin(), texts.end());
  const PieceTable table(pieces);
  ASSERT_EQ(table.size(), 3000);
  for (int32_t id = 0; id < table.size(); ++id) {
    EXPECT_EQ(table.text(id), pieces[static_cast<size_t>(id)]);
    EXPECT_EQ(table.find(pieces[static_cast<size_t>(id)]), id);
  }
  for (int number = 0; number < 100000; number += 7) {
    const std::string text = std::to_string(number);
    EXPECT_EQ(table.find(text) >= 0, texts.contains(text)) << text;
  }
}

TEST(PieceTable, AnEmptyOneFindsNothing) {
  EXPECT_EQ(PieceTable({}).find("a"), -1);
  EXPECT_EQ(MergeTable({}).find(0, 0), -1);
}

TEST(MergeTable, FindsTheFirstMergeOfAPair) {
  std::mt19937 random(2);
  std::vector<MergeTable::Merge> merges;
  std::map<std::pair<int32_t, int32_t>, int32_t> first;
  for (int32_t rank = 0; rank < 4000; ++rank) {
    const auto id = [&] { return static_cast<int32_t>(random() % 60); };
    merges.push_back({id(), id(), id()});
    first.emplace(std::pair(merges.back().left, merges.back().right), rank);
  }
  const MergeTable table(merges);
  for (int32_t left = -1; left < 60; ++left) {
    for (int32_t right = -1; right < 60; ++right) {
      const auto expected = first.find({left, right});
      ASSERT_EQ(table.find(left, right), expected == first.end() ? -1 : expected->second);
    }
  }
}

TEST(MergeTable, KeepsIdsUpToTheLargestVocabulary) {
  constexpr int32_t kLargest = (1 << 20) - 1;
  const MergeTable table({{kLargest, 0, 1}, {0, kLargest, kLargest}, {kLargest, kLargest, 0}});
  EXPECT_EQ(table.find(kLargest, kLargest), 2);
  EXPECT_EQ(table.find(0, kLargest), 1);
  EXPECT_EQ(table[1].left, 0);
  EXPECT_EQ(table[1].right, kLargest);
  EXPECT_EQ(table[1].result, kLargest);
  EXPECT_EQ(table.find(kLargest + 1, 0), -1);
}

}  // namespace
}  // namespace carat
