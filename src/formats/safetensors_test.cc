#include "formats/safetensors.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

std::string file(const std::string& header, size_t data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + std::string(data, '\1');
}

/// The header of one tensor "t".
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

/// Spaces move the data to a multiple of 8.
std::string padded(std::string header) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

void expect_refused(const std::string& bytes, const std::string& message) {
  const auto tensors = parse_safetensors(as_bytes(bytes), "model.safetensors");
  ASSERT_FALSE(tensors.ok()) << message;
  EXPECT_EQ(tensors.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(tensors.error().message.starts_with("model.safetensors: ")) << tensors.error().message;
  EXPECT_NE(tensors.error().message.find(message), std::string::npos) << tensors.error().message;
}

void expect_header_refused(const std::string& header, const std::string& message, size_t data = 16) {
  expect_refused(file(padded(header), data), message);
}

TEST(Safetensors, ReadsWhatItWrote) {
  const std::vector<StoredSpec> specs = {{"a", "F32", {2, 3}, 24, {}},       {"b", "F32", {}, 4, {}},
                                         {"c \"\u2581", "BF16", {3}, 6, {}}, {"d", "F16", {1}, 2, {}},
                                         {"e", "F16", {0}, 0, {}},           {"f", "U8", {3}, 3, {}}};
  std::string bytes = safetensors_header(specs);
  EXPECT_EQ(bytes.size() % 8, 0u);
  for (int i = 0; i < 24 + 4 + 6 + 2 + 3; ++i) bytes += static_cast<char>(i);
  const auto tensors = parse_safetensors(as_bytes(bytes), "model.safetensors").value().tensors;
  ASSERT_EQ(tensors.size(), specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(tensors[i].name, specs[i].name);
    EXPECT_EQ(tensors[i].dtype, specs[i].dtype);
    EXPECT_EQ(tensors[i].shape, specs[i].shape);
    EXPECT_EQ(tensors[i].data.size(), specs[i].bytes);
  }
  EXPECT_EQ(std::to_integer<int>(tensors[2].data[5]), 33);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string bytes = file(padded(tensor("F32", "[2,2]", "[0,16]")), 16);
  ASSERT_TRUE(parse_safetensors(as_bytes(bytes), "model.safetensors").ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut(bytes, 0, size);
    EXPECT_FALSE(parse_safetensors(as_bytes(cut), "model.safetensors").ok()) << size;
  }
}

TEST(Safetensors, RefusesHeadersThatAreTooLong) {
  std::string bytes = file("{}", 0);
  const uint64_t lengths[] = {3, 1000, 100'000'001, UINT64_MAX};
  for (const uint64_t length : lengths) {
    bytes.replace(0, 8, reinterpret_cast<const char*>(&length), 8);
    expect_refused(bytes, "a header of " + std::to_string(length) + " bytes");
  }
}

TEST(Safetensors, RefusesWhatIsNoHeader) {
  expect_header_refused("", "no valid JSON", 0);
  expect_header_refused("{", "no valid JSON");
  expect_header_refused("{} {}", "no valid JSON");
  expect_header_refused("\xff\xfe", "no valid JSON");
  expect_header_refused("[]", "an array");
  expect_header_refused("1", "a number");
  expect_header_refused(std::string(100000, '['), "an array");
  expect_header_refused(R"({"t":{"t":{}}})", "unknown member");
  expect_header_refused(R"({"t":1})", "a number");
  expect_header_refused(R"({"t":{}})", "without dtype");
  expect_header_refused(R"({"t":{"dtype":"F32","shape":[4]}})", "without dtype");
  expect_header_refused(R"({"__metadata__":{"a":1}})", "a number");
  expect_header_refused(tensor("F32", "[-1]", "[0,16]"), "a negative number");
  expect_header_refused(tensor("F32", "[1.5]", "[0,16]"), "a fraction");
  expect_header_refused(tensor("F32", "[[4]]", "[0,16]"), "an array");
  expect_header_refused(tensor("F32", "[18446744073709551615]", "[0,16]"), "63 bits");
  expect_header_refused(tensor("F32", "[4]", "[0]"), "two data_offsets");
  expect_header_refused(tensor("F32", "[4]", "[0,16,16]"), "a number");
  expect_header_refused(R"({"t":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "a member twice");
}

TEST(Safetensors, GivesTensorsOfEveryTypeOfWholeBytes) {
  const std::pair<std::string, int> types[] = {{"F64", 8}, {"I64", 8},     {"I32", 4},     {"I16", 2},  {"U8", 1},
                                               {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}, {"U32", 4}};
  for (const auto& [dtype, size] : types) {
    const std::string shape = "[" + std::to_string(16 / size) + "]";
    const std::string bytes = file(padded(tensor(dtype, shape, "[0,16]")), 16);
    const SafetensorsContent content = parse_safetensors(as_bytes(bytes), "model.safetensors").value();
    ASSERT_EQ(content.tensors.size(), 1u) << dtype;
    EXPECT_EQ(content.tensors[0].dtype, dtype);
    EXPECT_EQ(content.tensors[0].data.size(), 16u);
  }
}

TEST(Safetensors, NamesTensorsOfOtherTypes) {
  for (const std::string dtype : {"F4", "F6_E2M3", "Q4_0", ""}) {
    const std::string bytes = file(padded(tensor(dtype, "[2]", "[0,16]")), 16);
    const SafetensorsContent content = parse_safetensors(as_bytes(bytes), "model.safetensors").value();
    EXPECT_TRUE(content.tensors.empty());
    ASSERT_EQ(content.unreadable.size(), 1u);
    EXPECT_EQ(content.unreadable[0].name, "t");
    EXPECT_EQ(content.unreadable[0].dtype, dtype);
  }
}

TEST(Safetensors, TensorsOfOtherTypesLieInTheFileToo) {
  expect_header_refused(tensor("F4", "[2]", "[0,32]"), "cut short: ");
  expect_header_refused(tensor("F4", "[2]", "[16,0]"), "the file is damaged");
  expect_header_refused(tensor("F4", "[2]", "[0,8]"), "end at byte 8 of 16");
}

TEST(Safetensors, RefusesSizesThatDoNotFit) {
  expect_header_refused(tensor("F32", "[4294967296,4294967296]", "[0,16]"), "does not fit in 64 bits");
  expect_header_refused(tensor("F32", "[3]", "[0,16]"), "takes 12 bytes");
  expect_header_refused(tensor("F32", "[8]", "[0,32]"), "cut short: ");
  expect_header_refused(tensor("F32", "[4]", "[16,0]"), "the file is damaged");
  expect_header_refused(tensor("F32", "[4]", "[18446744073709551600,18446744073709551615]"), "the file is damaged");
}

std::string two_tensors(const std::string& first, const std::string& second) {
  return R"({"a":{"dtype":"BF16","shape":[4],"data_offsets":)" + first +
         R"(},"b":{"dtype":"BF16","shape":[4],"data_offsets":)" + second + "}}";
}

TEST(Safetensors, RefusesHolesAndOverlaps) {
  EXPECT_TRUE(parse_safetensors(as_bytes(file(padded(two_tensors("[8,16]", "[0,8]")), 16)), "m").ok());
  expect_header_refused(two_tensors("[0,8]", "[0,8]"), "an overlap", 16);
  expect_header_refused(two_tensors("[0,8]", "[6,14]"), "an overlap", 14);
  expect_header_refused(two_tensors("[0,8]", "[10,18]"), "a hole", 18);
  expect_header_refused(two_tensors("[2,10]", "[10,18]"), "a hole", 18);
  expect_header_refused(two_tensors("[0,8]", "[8,16]"), "end at byte 16 of 20", 20);
}

TEST(Safetensors, RefusesTwoTensorsOfOneName) {
  std::string header = two_tensors("[0,8]", "[8,16]");
  header.replace(header.find("\"b\""), 3, "\"a\"");
  expect_header_refused(header, "two tensors are called \"a\"");
}

TEST(Safetensors, RefusesTensorsThatCannotBeUsedWhereTheyLie) {
  std::string header = padded(tensor("F32", "[4]", "[0,16]"));
  header += "  ";
  expect_refused(file(header, 16), "multiple of its element size");
}

}  // namespace
}  // namespace carat
