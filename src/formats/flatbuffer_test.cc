#include "formats/flatbuffer.h"

#include <gtest/gtest.h>

#include <string>

namespace carat {
namespace {

/// Bytes of numbers of several widths, one behind the other.
class Bits {
 public:
  template <typename T>
  Bits& add(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Bits& text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// A root table at byte 16 with its field list at 4: number 0 is 7 (u16), 1 a text, 2 absent, 3 numbers, 4 tables.
std::string sample() {
  return Bits()
      .add<uint32_t>(16)  // 0: the root
      .add<uint16_t>(12)  // 4: size of the list
      .add<uint16_t>(20)  // 6: size of the table
      .add<uint16_t>(4)   // 8: place of each field in the table
      .add<uint16_t>(8)   // 10
      .add<uint16_t>(0)   // 12
      .add<uint16_t>(12)  // 14; the list of a table with four fields ends here
      .add<int32_t>(12)   // 16: back to the field list
      .add<uint32_t>(7)   // 20
      .add<uint32_t>(12)  // 24: the text at 36
      .add<uint32_t>(16)  // 28: the numbers at 44
      .add<uint32_t>(0)   // 32
      .add<uint32_t>(2)   // 36
      .text("ab")         // 40
      .add<uint16_t>(0)   // 42
      .add<uint32_t>(2)   // 44
      .add<float>(1.5f)   // 48
      .add<float>(-2.0f)  // 52
      .bytes();
}

const std::string kSource = "sample";

Status read_all(Bytes bytes) {
  CARAT_TRY(const FlatTable root, FlatTable::root(bytes, kSource));
  CARAT_TRY([[maybe_unused]] const uint16_t number, root.number<uint16_t>(0, 0));
  CARAT_TRY([[maybe_unused]] const std::string_view text, root.text(1));
  CARAT_TRY(const FlatNumbers<uint8_t> numbers, root.numbers<uint8_t>(3));
  int sum = 0;
  for (size_t i = 0; i < numbers.size(); ++i) sum += numbers[i];
  EXPECT_GE(sum, 0);
  CARAT_TRY(const FlatTables tables, root.tables(3));
  for (size_t i = 0; i < tables.size(); ++i) (void)tables.at(i).ok();
  CARAT_TRY([[maybe_unused]] const std::optional<FlatTable> inner, root.table(1));
  return success();
}

TEST(FlatTable, GivesFieldsByTheirNumbers) {
  const std::string bytes = sample();
  const FlatTable root = FlatTable::root(as_bytes(bytes), kSource).value();
  EXPECT_EQ(root.number<uint16_t>(0, 0).value(), 7);
  EXPECT_EQ(root.text(1).value(), "ab");
  EXPECT_EQ(root.number<int64_t>(2, -5).value(), -5);  // its place is 0: absent
  EXPECT_EQ(root.text(9).value(), "");                 // behind the list
  EXPECT_FALSE(root.table(2).value().has_value());
  const FlatNumbers<float> numbers = root.numbers<float>(3).value();
  ASSERT_EQ(numbers.size(), 2u);
  EXPECT_EQ(numbers[0], 1.5f);
  EXPECT_EQ(numbers[1], -2.0f);
}

TEST(FlatTable, WhatReachesBeyondTheBytesIsRefused) {
  for (size_t size = 0; size < sample().size(); ++size) {
    const std::string cut = sample().substr(0, size);
    EXPECT_FALSE(read_all(as_bytes(cut)).ok()) << size;
  }
}

TEST(FlatTable, AnyNumberAnywhereIsReadOrRefused) {
  for (size_t at = 0; at + sizeof(uint32_t) <= sample().size(); ++at) {
    for (const uint32_t value : {0u, 1u, 3u, 16u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFF0u, 0xFFFFFFFFu}) {
      std::string bytes = sample();
      std::memcpy(bytes.data() + at, &value, sizeof value);
      (void)read_all(as_bytes(bytes)).ok();
    }
  }
}

TEST(FlatTable, ATableMayHoldItself) {
  std::string bytes = sample();
  const uint32_t back = 0xFFFFFFFFu - 24 + 1;  // from byte 24 to byte 0, which is no table
  std::memcpy(bytes.data() + 24, &back, sizeof back);
  const FlatTable root = FlatTable::root(as_bytes(bytes), kSource).value();
  EXPECT_NE(root.table(1).error().message.find("sample: a table at byte 4294967296"), std::string::npos);
}

TEST(FlatTable, AFieldBehindTheEndOfItsTableIsRefused) {
  std::string bytes = sample();
  const FlatTable root = FlatTable::root(as_bytes(bytes), kSource).value();
  EXPECT_TRUE(root.number<uint64_t>(3, 0).ok());  // bytes 12 to 20 of a table of 20 bytes
  bytes[6] = 19;
  const FlatTable shorter = FlatTable::root(as_bytes(bytes), kSource).value();
  EXPECT_FALSE(shorter.number<uint64_t>(3, 0).ok());
  EXPECT_TRUE(shorter.number<uint32_t>(3, 0).ok());
}

}  // namespace
}  // namespace carat
