#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace carat {
namespace {

Result<int> positive(int value) {
  if (value <= 0) return wrong_usage("expected a positive number, found " + std::to_string(value));
  return value;
}

Result<int> sum_of_positives(int a, int b) {
  CARAT_TRY(const int first, positive(a));
  CARAT_TRY(const int second, positive(b));
  return first + second;
}

Status both_positive(int a, int b) {
  CARAT_TRY_STATUS(sum_of_positives(a, b));
  return success();
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_TRUE(positive(3).ok());
  EXPECT_EQ(*positive(3), 3);
  const Result<int> wrong = positive(-3);
  EXPECT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(wrong.error().message, "expected a positive number, found -3");
}

TEST(Result, KindsFollowTheMakers) {
  EXPECT_EQ(failed("a").kind, ErrorKind::kFailed);
  EXPECT_EQ(refused("a").kind, ErrorKind::kRefused);
  EXPECT_EQ(wrong_usage("a").kind, ErrorKind::kUsage);
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(sum_of_positives(2, 3).value(), 5);
  EXPECT_EQ(sum_of_positives(-2, -3).error().message, "expected a positive number, found -2");
  EXPECT_EQ(sum_of_positives(2, -3).error().message, "expected a positive number, found -3");
  EXPECT_TRUE(both_positive(1, 1).ok());
  EXPECT_FALSE(both_positive(1, 0).ok());
}

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> owned = std::make_unique<int>(4);
  EXPECT_EQ(**owned, 4);
  std::unique_ptr<int> taken = *std::move(owned);
  EXPECT_EQ(*taken, 4);
}

TEST(ResultDeathTest, AWrongQuestionEndsTheProcessWithTheError) {
  EXPECT_DEATH(positive(-1).value(), "expected a positive number, found -1");
  EXPECT_DEATH((void)positive(1).error(), "holds a value");
}

}  // namespace
}  // namespace carat
