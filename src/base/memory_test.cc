#include "base/memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace carat {
namespace {

TEST(Memory, PeakGrowsWithWhatIsTouchedAndStays) {
  const uint64_t before = peak_rss_bytes();
  EXPECT_GT(before, 1u << 20);
  constexpr uint64_t kBytes = 64u << 20;
  { const std::vector<char> touched(before + kBytes, 1); }
  EXPECT_GE(peak_rss_bytes(), before + kBytes);
}

}  // namespace
}  // namespace carat
