#include "base/bandwidth.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(Bandwidth, IsWithinWhatMemoryCanDo) {
  ThreadPool threads(2);
  const double bytes_per_second = read_bandwidth(threads, uint64_t{32} << 20, 0.05);
  EXPECT_GT(bytes_per_second, 1e8);
  EXPECT_LT(bytes_per_second, 1e13);
}

TEST(Bandwidth, NeedsABuffer) {
  ThreadPool threads(1);
  EXPECT_EQ(read_bandwidth(threads, 0, 0.01), 0.0);
  EXPECT_EQ(read_bandwidth(threads, 63, 0.01), 0.0);
}

TEST(Bandwidth, TheBufferLeavesMemoryToOthers) {
  EXPECT_EQ(bandwidth_buffer(4000), 1000u);
  EXPECT_GE(bandwidth_buffer(uint64_t{1} << 40), uint64_t{64} << 20);
  EXPECT_LE(bandwidth_buffer(uint64_t{1} << 40), uint64_t{512} << 20);
}

}  // namespace
}  // namespace carat
