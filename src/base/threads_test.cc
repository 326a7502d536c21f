#include "base/threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <vector>

namespace carat {
namespace {

class Threads : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Counts, Threads, testing::Values(1, 2, 3, 5, 16));

TEST_P(Threads, KnowsHowManyItIs) { EXPECT_EQ(ThreadPool(GetParam()).threads(), GetParam()); }

TEST_P(Threads, CoversEachIndexOnce) {
  ThreadPool pool(GetParam());
  for (int64_t n : {0, 1, 2, 3, 7, 64, 1000, 4097}) {
    for (int64_t grain : {1, 2, 5, 1000, 100000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(n));
      pool.parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        EXPECT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
      for (const auto& count : visits) ASSERT_EQ(count, 1) << n << " in grains of " << grain;
    }
  }
}

TEST_P(Threads, WritesAreSeenAfterTheLoop) {
  // Ten thousand short loops, each reading what others wrote in the one before.
  ThreadPool pool(GetParam());
  constexpr int64_t kLength = 64;
  std::vector<int64_t> current(kLength), next(kLength);
  std::iota(current.begin(), current.end(), 0);
  for (int round = 0; round < 10000; ++round) {
    pool.parallel_for(kLength, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        next[static_cast<size_t>(i)] = current[static_cast<size_t>((i + 1) % kLength)];
      }
    });
    current.swap(next);
  }
  for (int64_t i = 0; i < kLength; ++i) ASSERT_EQ(current[static_cast<size_t>(i)], (i + 10000) % kLength);
}

TEST_P(Threads, SleepersAreWoken) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    ASSERT_EQ(sum, 100);
  }
}

TEST_P(Threads, GrainBoundsTheNumberOfCalls) {
  ThreadPool pool(GetParam());
  std::atomic<int> calls{0};
  pool.parallel_for(100, 30, [&](int64_t, int64_t) { ++calls; });
  EXPECT_LE(calls, 4);
  calls = 0;
  pool.parallel_for(100, 100, [&](int64_t begin, int64_t end) {
    ++calls;
    EXPECT_EQ(end - begin, 100);
  });
  EXPECT_EQ(calls, 1);
}

TEST(ThreadsAtWork, OthersTakePart) {
  // Each call waits for a second thread to arrive, which it does only if it is given a chunk of its own.
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  pool.parallel_for(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST(ThreadsAtWork, PoolsComeAndGo) {
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool(3);
    std::atomic<int64_t> sum{0};
    if (round % 2 == 0) pool.parallel_for(10, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    ASSERT_EQ(sum, round % 2 == 0 ? 10 : 0);
  }
}

}  // namespace
}  // namespace carat
