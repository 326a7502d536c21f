#include "eval/figure_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace carat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(FigureTextTest, NumbersHaveFourDigits) {
  EXPECT_EQ(number_of_four_digits(0.0), "0");
  EXPECT_EQ(number_of_four_digits(0.0203312), "0.02033");
  EXPECT_EQ(number_of_four_digits(58.951), "58.95");
  EXPECT_EQ(number_of_four_digits(123456.7), "123457");
  EXPECT_EQ(number_of_four_digits(-0.5), "-0.5000");
  EXPECT_EQ(number_of_four_digits(7.23e-8), "7.2·10⁻⁸");
  EXPECT_EQ(number_of_four_digits(kInfinity), "–");
  EXPECT_EQ(number_of_four_digits(kNan), "–");
}

TEST(FigureTextTest, TheErrorDecidesTheDigits) {
  EXPECT_EQ(joined(estimate_text({58.9512, 0.4812})), "59.0 ± 0.5");
  EXPECT_EQ(joined(estimate_text({58.9512, 0.1412})), "58.95 ± 0.14");
  EXPECT_EQ(joined(estimate_text({0.0203312, 0.0000512})), "0.02033 ± 0.00005");
  EXPECT_EQ(joined(estimate_text({1234.5, 321.0})), "1234 ± 321");
  EXPECT_EQ(joined(estimate_text({1.33e-7, 2.1e-8})), "1.3·10⁻⁷ ± 0.2·10⁻⁷");
  EXPECT_EQ(joined(estimate_text({0.0, 3e-9})), "0·10⁻⁹ ± 3·10⁻⁹");
}

TEST(FigureTextTest, WithoutAnErrorTheFigureStandsAlone) {
  EXPECT_EQ(joined(estimate_text({1.0, 0.0})), "1.000");
  EXPECT_EQ(joined(estimate_text({0.0, 0.0})), "0");
  EXPECT_EQ(joined(estimate_text({2.0, kNan})), "2.000");
  EXPECT_EQ(joined(estimate_text({2.0, kInfinity})), "2.000");
  EXPECT_EQ(joined(estimate_text({kNan, 1.0})), "–");
}

TEST(FigureTextTest, PartsAreInPercent) {
  EXPECT_EQ(joined(percent_text({0.8823, 0.0031})), "88.2 % ± 0.3 %");
  EXPECT_EQ(joined(percent_text({1.0, 0.0})), "100.0 %");
  EXPECT_EQ(joined(percent_text({kNan, 0.0})), "–");
}

TEST(FigureTextTest, SizesHaveThreeDigits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "1.00 kB");
  EXPECT_EQ(size_text(7690000), "7.69 MB");
  EXPECT_EQ(size_text(13450000), "13.4 MB");
  EXPECT_EQ(size_text(999600000), "1.00 GB");
  EXPECT_EQ(size_text(123456789012345), "123 TB");
}

}  // namespace
}  // namespace carat
