#include "base/growing_bytes.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace carat {
namespace {

TEST(GrowingBytesTest, KeepsWhatItHoldsWhileItGrows) {
  GrowingBytes bytes;
  EXPECT_EQ(bytes.size(), 0u);
  for (size_t size = 1; size < (size_t{1} << 22); size *= 3) {
    ASSERT_TRUE(bytes.grow(size));
    ASSERT_EQ(bytes.size(), size);
    bytes.data()[size - 1] = static_cast<std::byte>(size % 251);
    for (size_t old = 1; old <= size; old *= 3) ASSERT_EQ(bytes.data()[old - 1], static_cast<std::byte>(old % 251));
  }
}

TEST(GrowingBytesTest, StaysAsItIsWhenMemoryIsShort) {
  GrowingBytes bytes;
  ASSERT_TRUE(bytes.grow(3));
  bytes.data()[2] = std::byte{7};
  EXPECT_FALSE(bytes.grow(std::numeric_limits<size_t>::max() / 4));
  EXPECT_EQ(bytes.size(), 3u);
  EXPECT_EQ(bytes.data()[2], std::byte{7});
}

TEST(GrowingBytesTest, Moves) {
  GrowingBytes bytes;
  ASSERT_TRUE(bytes.grow(5));
  const std::byte* place = bytes.data();
  const GrowingBytes other = std::move(bytes);
  EXPECT_EQ(other.data(), place);
  EXPECT_EQ(other.size(), 5u);
}

}  // namespace
}  // namespace carat
