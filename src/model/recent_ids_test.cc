#include "model/recent_ids.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>

namespace carat {
namespace {

TEST(RecentIds, TheIdUsedLongestAgoGivesUpItsSlot) {
  RecentIds recent(3);
  const int32_t a = recent.claim(10);
  const int32_t b = recent.claim(20);
  const int32_t c = recent.claim(30);
  EXPECT_EQ(recent.use(10), a);
  EXPECT_EQ(recent.claim(40), b);
  EXPECT_EQ(recent.use(20), -1);
  EXPECT_EQ(recent.use(10), a);
  EXPECT_EQ(recent.use(30), c);
  EXPECT_EQ(recent.use(40), b);
}

TEST(RecentIds, AClearedOneHasForgottenAllAndWorksAsNew) {
  RecentIds recent(2);
  recent.claim(1);
  recent.claim(2);
  recent.clear();
  EXPECT_EQ(recent.use(1), -1);
  EXPECT_EQ(recent.use(2), -1);
  EXPECT_NE(recent.claim(2), recent.claim(3));
}

TEST(RecentIds, AgreesWithAPlainList) {
  std::mt19937 random(1);
  for (const int64_t slots : {1, 2, 5, 64}) {
    RecentIds recent(slots);
    std::list<std::pair<int32_t, int32_t>> plain;  // id and slot, the newest in front
    for (int step = 0; step < 5000; ++step) {
      const auto id = static_cast<int32_t>(random() % (3 * static_cast<uint32_t>(slots)));
      const auto known = std::ranges::find(plain, id, &std::pair<int32_t, int32_t>::first);
      if (known != plain.end()) {
        plain.splice(plain.begin(), plain, known);
        ASSERT_EQ(recent.use(id), plain.front().second);
        continue;
      }
      ASSERT_EQ(recent.use(id), -1);
      const int32_t slot = recent.claim(id);
      ASSERT_TRUE(slot >= 0 && slot < slots);
      if (static_cast<int64_t>(plain.size()) == slots) {
        ASSERT_EQ(slot, plain.back().second);
        plain.pop_back();
      }
      ASSERT_EQ(std::ranges::count(plain, slot, &std::pair<int32_t, int32_t>::second), 0);
      plain.emplace_front(id, slot);
    }
  }
}

}  // namespace
}  // namespace carat
