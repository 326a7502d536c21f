#include "base/memory.h"

#include <gtest/gtest.h>

#include <fstream>
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

TEST(Memory, HeldIsWhatIsTouchedNowAndTheWholeProgram) {
  const uint64_t before = held_bytes();
  std::ifstream program("/proc/self/exe", std::ios::binary | std::ios::ate);
  EXPECT_GT(before, static_cast<uint64_t>(program.tellg()) / 2) << "a file has parts that are not mapped";
  constexpr uint64_t kBytes = 64u << 20;
  {
    const std::vector<char> touched(kBytes, 1);
    EXPECT_GE(held_bytes(), before + kBytes);
    EXPECT_LE(held_bytes(), before + kBytes + (1u << 20));
  }
  EXPECT_LE(held_bytes(), before + (1u << 20));
}

}  // namespace
}  // namespace carat
