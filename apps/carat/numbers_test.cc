#include "numbers.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(ParseSize, TakesPlainBytesAndUnits) {
  EXPECT_EQ(parse_size("1"), 1u);
  EXPECT_EQ(parse_size("1073741824"), 1073741824u);
  EXPECT_EQ(parse_size("950M"), 950'000'000u);
  EXPECT_EQ(parse_size("950MB"), 950'000'000u);
  EXPECT_EQ(parse_size("1G"), 1'000'000'000u);
  EXPECT_EQ(parse_size("1.5GiB"), 1'610'612'736u);
  EXPECT_EQ(parse_size("1.5 gib"), 1'610'612'736u);
  EXPECT_EQ(parse_size("64k"), 64'000u);
  EXPECT_EQ(parse_size("64Ki"), 65'536u);
  EXPECT_EQ(parse_size("2TB"), 2'000'000'000'000u);
  EXPECT_EQ(parse_size("12B"), 12u);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text : {"", "M", "-1M", "+1M", "1.2.3M", "1e9", "0", "0.4", "950X", "950MM", "1 G B", "nan", "inf",
                           "0x10", "1,5G", "99999999999999999999", "10000000T", "1..M", "."}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace carat
