#include "formats/pattern_effort.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(PatternEffort, IsTheProductOfInstructionsAndCharacters) {
  EXPECT_TRUE(check_pattern_effort(0, 0, "rules").ok());
  EXPECT_TRUE(check_pattern_effort(1 << 10, 1 << 20, "rules").ok());
  EXPECT_TRUE(check_pattern_effort(UINT64_MAX, 0, "none").error().message.starts_with("none: "));
  const auto refusal = check_pattern_effort((1 << 10) + 1, 1 << 20, "config.json: rules");
  ASSERT_FALSE(refusal.ok());
  EXPECT_EQ(refusal.error().kind, ErrorKind::kRefused);
  EXPECT_EQ(refusal.error().message,
            "config.json: rules: its regular expressions have 1025 instructions, too many for names of 1048576 "
            "characters together; expected a product of at most 1073741824");
}

}  // namespace
}  // namespace carat
