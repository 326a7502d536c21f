#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <cstring>

#include "formats/gguf_write.h"

namespace carat {
namespace {

/// Writes a file field by field, so that each of them can be wrong.
class RawGguf {
 public:
  template <typename T>
  RawGguf& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  RawGguf& text(std::string_view value) {
    put<uint64_t>(value.size());
    bytes_.append(value);
    return *this;
  }
  RawGguf& raw(std::string_view value) {
    bytes_.append(value);
    return *this;
  }
  RawGguf& preamble(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    return raw("GGUF").put(version).put(tensors).put(entries);
  }
  RawGguf& key(std::string_view name, GgufType type) { return text(name).put(static_cast<uint32_t>(type)); }
  RawGguf& tensor(std::string_view name, const std::vector<int64_t>& fastest_first, uint32_t type, uint64_t offset) {
    text(name).put(static_cast<uint32_t>(fastest_first.size()));
    for (const int64_t extent : fastest_first) put(extent);
    return put(type).put(offset);
  }
  RawGguf& data(size_t size) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32);
    bytes_.append(size, '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ4_0 = 2;

void expect_refused(const std::string& bytes, const std::string& message) {
  const auto content = parse_gguf(as_bytes(bytes), "model.gguf");
  ASSERT_FALSE(content.ok()) << message;
  EXPECT_EQ(content.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(content.error().message.starts_with("model.gguf: ")) << content.error().message;
  EXPECT_NE(content.error().message.find(message), std::string::npos) << content.error().message;
}

std::string one_entry(GgufType type, const std::string& value) {
  return RawGguf().preamble(0, 1).key("k", type).raw(value).bytes();
}

std::string one_tensor(const std::vector<int64_t>& fastest_first, uint32_t type, uint64_t offset, size_t data = 64) {
  return RawGguf().preamble(1, 0).tensor("blk.3.attn_q.weight", fastest_first, type, offset).data(data).bytes();
}

std::string valid_file() {
  GgufHeader header;
  header.add_string("text", "value");
  header.add_u32("u32", 4000000000u);
  header.add_i32("i32", -5);
  header.add_f32("f32", 0.5f);
  header.add_bool("flag", true);
  header.add_i32_array("i32s", std::vector<int32_t>{-1, 2});
  header.add_f32_array("f32s", std::vector<float>{1.5f, -2.0f});
  header.add_bool_array("flags", {true, false, true});
  header.add_string_array("texts", std::vector<std::string>{"a", "", "ccc"});
  header.add_tensor({"vector", DType::kF32, {3}});
  header.add_tensor({"matrix", DType::kQ4_0, {2, 64}});
  std::string bytes = header.bytes();
  for (int i = 0; i < 12; ++i) bytes += static_cast<char>(i);
  bytes.append(20, '\0');
  bytes.append(2 * 2 * 18, '\7');
  return bytes;
}

TEST(Gguf, ReadsEveryKindOfEntry) {
  const std::string bytes = valid_file();
  const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
  ASSERT_EQ(content.entries.size(), 9u);
  const auto value = [&](size_t i) -> const auto& { return content.entries[i].value.value; };
  EXPECT_EQ(content.entries[0].key, "text");
  EXPECT_EQ(std::get<std::string_view>(value(0)), "value");
  EXPECT_EQ(std::get<int64_t>(value(1)), 4000000000);
  EXPECT_EQ(std::get<int64_t>(value(2)), -5);
  EXPECT_EQ(std::get<double>(value(3)), 0.5);
  EXPECT_EQ(std::get<int64_t>(value(4)), 1);
  EXPECT_EQ(std::get<GgufArray>(value(5)).integer(0), -1);
  EXPECT_EQ(std::get<GgufArray>(value(6)).number(1), -2.0);
  EXPECT_EQ(std::get<GgufArray>(value(7)).integer(1), 0);
  EXPECT_EQ(std::get<GgufArray>(value(8)).strings(), (std::vector<std::string_view>{"a", "", "ccc"}));
}

TEST(Gguf, ReadsTensorsSlowestExtentFirst) {
  const std::string bytes = valid_file();
  const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
  ASSERT_EQ(content.tensors.size(), 2u);
  EXPECT_EQ(content.tensors[0].name, "vector");
  EXPECT_EQ(content.tensors[0].view.shape, Shape{3});
  EXPECT_EQ(std::to_integer<int>(content.tensors[0].view.data[11]), 11);
  EXPECT_EQ(content.tensors[1].view.dtype, DType::kQ4_0);
  EXPECT_EQ(content.tensors[1].view.shape, (Shape{2, 64}));
  EXPECT_EQ(content.tensors[1].view.data.size(), 72u);
  EXPECT_EQ(std::to_integer<int>(content.tensors[1].view.data[71]), 7);
}

TEST(Gguf, ReadsIntegersOfEveryWidth) {
  RawGguf file;
  file.preamble(0, 8);
  file.key("u8", GgufType::kU8).put<uint8_t>(200).key("i8", GgufType::kI8).put<int8_t>(-2);
  file.key("u16", GgufType::kU16).put<uint16_t>(60000).key("i16", GgufType::kI16).put<int16_t>(-3);
  file.key("u64", GgufType::kU64).put<uint64_t>(uint64_t{1} << 40).key("i64", GgufType::kI64).put<int64_t>(-4);
  file.key("f64", GgufType::kF64).put(0.25).key("i32", GgufType::kI32).put<int32_t>(-6);
  const GgufContent content = parse_gguf(as_bytes(file.bytes()), "model.gguf").value();
  const int64_t expected[] = {200, -2, 60000, -3, int64_t{1} << 40, -4};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(std::get<int64_t>(content.entries[i].value.value), expected[i]) << i;
  EXPECT_EQ(std::get<double>(content.entries[6].value.value), 0.25);
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string bytes = valid_file();
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of just this size lets a sanitizer see any read behind it.
    const std::string cut(bytes, 0, size);
    EXPECT_FALSE(parse_gguf(as_bytes(cut), "model.gguf").ok()) << size;
  }
}

TEST(Gguf, RefusesWrongMagic) {
  expect_refused("", "expected a GGUF file");
  expect_refused("GGML\3\0\0\0", "found \"GGML\"");
  expect_refused("\x1b[2J and more", "\\x1b");
}

TEST(Gguf, RefusesOtherVersionsByName) {
  expect_refused(RawGguf().preamble(0, 0, 1).bytes(), "version 1, expected 2 or 3; convert the model again");
  expect_refused(RawGguf().preamble(0, 0, 99).bytes(), "version 99, expected 2 or 3; it needs a newer version");
  expect_refused(RawGguf().preamble(0, 0, 0x03000000).bytes(), "big-endian");
}

TEST(Gguf, RefusesCountsThatNoFileHas) {
  expect_refused(RawGguf().preamble(uint64_t{1} << 63, 0).bytes(), "tensors");
  expect_refused(RawGguf().preamble(0, UINT64_MAX).bytes(), "metadata entries");
  expect_refused(RawGguf().preamble(65536, 0).bytes(), "truncated");
}

TEST(Gguf, RefusesBadEntries) {
  const auto put = [](auto value) { return RawGguf().put(value).bytes(); };
  expect_refused(one_entry(GgufType::kString, put(uint64_t{1} << 60) + "abc"), "a string of 1152921504606846976 bytes");
  expect_refused(one_entry(static_cast<GgufType>(13), ""), "value type 13 is unknown");
  expect_refused(one_entry(GgufType::kBool, "\2"), "boolean");
  expect_refused(one_entry(GgufType::kU32, "ab"), "truncated");
  const std::string u32_type = put(uint32_t{4});
  expect_refused(one_entry(GgufType::kArray, u32_type + put(uint64_t{1} << 62)), "do not fit");
  expect_refused(one_entry(GgufType::kArray, put(uint32_t{8}) + put(uint64_t{1} << 61)), "do not fit");
  expect_refused(one_entry(GgufType::kArray, put(uint32_t{9}) + put(uint64_t{1})), "arrays of arrays");
  expect_refused(one_entry(GgufType::kArray, put(uint32_t{77}) + put(uint64_t{1})), "value type 77");
  expect_refused(one_entry(GgufType::kArray, put(uint32_t{7}) + put(uint64_t{2}) + "\1\2"), "boolean");
  RawGguf twice;
  twice.preamble(0, 2).key("k", GgufType::kU8).put<uint8_t>(1).key("k", GgufType::kU8).put<uint8_t>(1);
  expect_refused(twice.bytes(), "\"k\" is there twice");
  expect_refused(RawGguf().preamble(0, 1).put(uint64_t{1} << 60).bytes(), "metadata entry 0");
}

TEST(Gguf, RefusesBadAlignment) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u}) {
    RawGguf file;
    file.preamble(0, 1).key("general.alignment", GgufType::kU32).put(alignment);
    expect_refused(file.bytes(), "general.alignment: expected a power of two");
  }
  RawGguf text;
  text.preamble(0, 1).key("general.alignment", GgufType::kString).text("32");
  expect_refused(text.bytes(), "general.alignment");
}

TEST(Gguf, FollowsAnotherAlignment) {
  RawGguf file;
  file.preamble(2, 1).key("general.alignment", GgufType::kU32).put<uint32_t>(64);
  file.tensor("a", {1}, kF32, 0).tensor("b", {1}, kF32, 64);
  std::string bytes = file.bytes();
  bytes.resize((bytes.size() + 63) / 64 * 64 + 68);
  bytes.back() = '\x40';
  const GgufContent content = parse_gguf(as_bytes(bytes), "model.gguf").value();
  float value = 0;
  std::memcpy(&value, content.tensors[1].view.data.data(), sizeof value);
  EXPECT_EQ(value, 2.0f);
}

TEST(Gguf, RefusesBadShapes) {
  expect_refused(one_tensor({1, 1, 1, 1, 1}, kF32, 0), "blk.3.attn_q.weight: 5 dimensions");
  expect_refused(one_tensor({0, 4}, kF32, 0), "an extent of 0");
  expect_refused(one_tensor({-1, 4}, kF32, 0), "an extent of -1");
  const int64_t large = int64_t{1} << 31;
  expect_refused(one_tensor({large, large, 2}, kF32, 0), "does not fit in 64 bits");
  expect_refused(one_tensor({int64_t{1} << 62}, kF32, 0), "does not fit");
  expect_refused(one_tensor({large, 1024}, kF32, 0), "do not fit in 64 bytes of data");
  expect_refused(one_tensor({33}, kQ4_0, 0), "no whole number of blocks");
}

TEST(Gguf, RefusesOtherTypesByName) {
  expect_refused(one_tensor({256}, 16, 0), "blk.3.attn_q.weight: tensors of IQ2_XXS are not supported; expected F32, ");
  expect_refused(one_tensor({256}, 34, 0), "TQ1_0");
  expect_refused(one_tensor({256}, 39, 0), "MXFP4");
  expect_refused(one_tensor({256}, 4, 0), "type 4 ");
  expect_refused(one_tensor({256}, 1000, 0), "type 1000 ");
}

TEST(Gguf, RefusesBadPlaces) {
  expect_refused(one_tensor({4}, kF32, 1), "expected a multiple of 32");
  expect_refused(one_tensor({4}, kF32, 64), "do not fit in 64 bytes of data");
  expect_refused(one_tensor({4}, kF32, uint64_t{1} << 63), "do not fit");
  expect_refused(one_tensor({17}, kF32, 0), "do not fit");
  RawGguf overlapping;
  overlapping.preamble(2, 0).tensor("a", {9}, kF32, 0).tensor("b", {4}, kF32, 32).data(64);
  expect_refused(overlapping.bytes(), "a and b lie on the same bytes");
  RawGguf same;
  same.preamble(2, 0).tensor("a", {4}, kF32, 0).tensor("a", {4}, kF32, 32).data(64);
  expect_refused(same.bytes(), "two tensors are called \"a\"");
}

TEST(Gguf, MessagesShowHostileNamesHarmlessly) {
  RawGguf file;
  file.preamble(1, 0).tensor(std::string(1000, '\x1b'), {4}, 12, 0).data(64);
  const auto content = parse_gguf(as_bytes(file.bytes()), "model.gguf");
  ASSERT_FALSE(content.ok());
  EXPECT_EQ(content.error().message.find('\x1b'), std::string::npos);
  EXPECT_LT(content.error().message.size(), 600u);
}

}  // namespace
}  // namespace carat
