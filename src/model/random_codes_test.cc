#include "model/random_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "lattice/codes.h"

namespace carat {
namespace {

constexpr DType kTypes[] = {DType::kI8, DType::kI4, DType::kI2};

std::vector<int8_t> drawn(DType dtype, uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<std::byte> packed(*row_bytes(dtype, count));
  draw_codes(dtype, random, packed);
  std::vector<int8_t> codes(count);
  unpack_codes(dtype, packed, codes);
  return codes;
}

TEST(RandomCodes, DistributionsAreBellsOverTheWholeRange) {
  for (const DType dtype : kTypes) {
    SCOPED_TRACE(dtype_name(dtype));
    const CodeDistribution& distribution = code_distribution(dtype);
    const CodeRange range = code_range(code_bits(dtype));
    EXPECT_TRUE(std::ranges::is_sorted(distribution.codes));
    EXPECT_EQ(distribution.codes.front(), range.lowest);
    EXPECT_GE(distribution.codes.back(), range.highest - 1);
    EXPECT_EQ(distribution.codes[128], 0);
    const double mean = std::accumulate(distribution.codes.begin(), distribution.codes.end(), 0) / 256.0;
    EXPECT_NEAR(mean / distribution.deviation, 0.0, 0.035);
    EXPECT_NEAR(distribution.deviation / -range.lowest, 0.37, 0.02);
  }
}

TEST(RandomCodes, EveryCodeOfTheDistributionIsDrawnAsOftenAsItSays) {
  constexpr size_t kCount = 200'000;
  for (const DType dtype : kTypes) {
    const CodeDistribution& distribution = code_distribution(dtype);
    std::array<int, 256> counts{};
    for (const int8_t code : drawn(dtype, 3, kCount)) ++counts[static_cast<size_t>(code + 128)];
    for (int code = -128; code < 128; ++code) {
      const auto share = static_cast<double>(std::ranges::count(distribution.codes, code)) / 256;
      // Six standard errors.
      const double tolerance = 6 * std::sqrt(share * (1 - share) / kCount);
      EXPECT_NEAR(static_cast<double>(counts[static_cast<size_t>(code + 128)]) / kCount, share, tolerance)
          << dtype_name(dtype) << " " << code;
    }
  }
}

TEST(RandomCodes, DependOnTheSeedAndAnyLengthIsFilled) {
  for (const DType dtype : kTypes) {
    const std::vector<int8_t> codes = drawn(dtype, 3, 4096);
    EXPECT_EQ(codes, drawn(dtype, 3, 4096));
    EXPECT_NE(codes, drawn(dtype, 4, 4096));
    const std::vector<int8_t> shorter = drawn(dtype, 3, 36);
    EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), codes.begin()));
  }
}

}  // namespace
}  // namespace carat
