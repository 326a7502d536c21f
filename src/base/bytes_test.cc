#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace carat {
namespace {

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

TEST(Bytes, CheckedArithmeticKnowsItsLimit) {
  EXPECT_EQ(checked_multiply(6, 7), 42u);
  EXPECT_EQ(checked_multiply(kMost, 1), kMost);
  EXPECT_EQ(checked_multiply(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_multiply(kMost, 0), 0u);
  EXPECT_EQ(checked_add(kMost - 1, 1), kMost);
  EXPECT_EQ(checked_add(kMost, 1), std::nullopt);
}

TEST(ByteReader, ReadsLittleEndianFrontToBack) {
  ByteReader reader(as_bytes(std::string_view("\x01\x02\x03\x04\xff\x00\x00\xc0\x3f!", 10)));
  EXPECT_EQ(reader.read<uint8_t>(), 1);
  EXPECT_EQ(reader.read<uint16_t>(), 0x0302);
  EXPECT_EQ(reader.read<uint8_t>(), 4);
  EXPECT_EQ(reader.read<int8_t>(), -1);
  EXPECT_EQ(reader.read<float>(), 1.5f);
  EXPECT_EQ(reader.remaining(), 1u);
  EXPECT_EQ(reader.position(), 9u);
}

TEST(ByteReader, WhatDoesNotFitLeavesThePosition) {
  ByteReader reader(as_bytes("abc"));
  EXPECT_EQ(reader.read<uint32_t>(), std::nullopt);
  EXPECT_EQ(reader.position(), 0u);
  EXPECT_EQ(reader.take(4), std::nullopt);
  EXPECT_EQ(reader.take(kMost), std::nullopt);
  EXPECT_EQ(reader.position(), 0u);
  EXPECT_EQ(as_text(*reader.take(2)), "ab");
  EXPECT_EQ(reader.take(kMost), std::nullopt);
  EXPECT_EQ(as_text(*reader.take(1)), "c");
  EXPECT_EQ(as_text(*reader.take(0)), "");
  EXPECT_EQ(reader.read<uint8_t>(), std::nullopt);
}

TEST(ByteReader, EmptyBytesHaveNothing) {
  ByteReader reader(Bytes{});
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_EQ(reader.read<uint8_t>(), std::nullopt);
  EXPECT_TRUE(reader.take(0).has_value());
}

}  // namespace
}  // namespace carat
