#include "eval/cache_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/select.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

TEST(CodeUse, CountsWhatIsClipped) {
  CodeUse use;
  use.add(std::vector<float>{0.0f, 127.4f, -128.4f, 127.6f, -128.6f, HUGE_VALF, 64.0f, 1.0f}, 1.0f);
  EXPECT_DOUBLE_EQ(use.clipped(), 3.0 / 8);
  CodeUse finer;
  finer.add(std::vector<float>{0.0f, 1.0f, -1.0f, 0.2f}, 0.01f);
  EXPECT_DOUBLE_EQ(finer.clipped(), 0.0);
  EXPECT_DOUBLE_EQ(CodeUse().clipped(), 0.0);
}

TEST(CodeUse, CountsTheBitsThatCodesTake) {
  for (int bits = 1; bits <= 8; ++bits) {
    CodeUse use;
    const float lowest = -std::exp2(static_cast<float>(bits - 1));
    use.add(std::vector<float>{lowest, 0.0f, -lowest - 1.0f}, 1.0f);
    EXPECT_EQ(use.bits(), bits);
  }
}

TEST(CodeUse, AThousandthOfTheCodesTakesNoBits) {
  CodeUse use;
  use.add(std::vector<float>(9990, 3.0f), 1.0f);
  use.add(std::vector<float>(10, 100.0f), 1.0f);
  EXPECT_EQ(use.bits(), 3);
  use.add(std::vector<float>{100.0f}, 1.0f);
  EXPECT_EQ(use.bits(), 8);
}

TEST(CacheStatistics, AModelWithoutStaticScalesIsRefused) {
  Ops ops(*all_kernels().front(), 1);
  const Model model = Model::load(golden_model("e2b_bf16").folder, ops).value();
  const auto statistics = CacheStatistics::create(model);
  ASSERT_FALSE(statistics.ok());
  EXPECT_NE(statistics.error().message.find("no static scales for keys and values"), std::string::npos);
}

}  // namespace
}  // namespace carat
