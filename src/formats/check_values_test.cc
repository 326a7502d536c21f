#include "formats/check_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "lattice/codes.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Status check(DType dtype, const std::vector<std::byte>& stored) {
  const int64_t elements = static_cast<int64_t>(stored.size()) / block_bytes(dtype) * block_elements(dtype);
  return check_values({"model.x.weight", {dtype, {1, elements}, stored}}, "some.gguf");
}

std::vector<std::byte> stored_values(DType dtype) {
  const std::vector<float> values(96, dtype == DType::kF16 ? 65504.0f : 1e30f);
  std::vector<std::byte> stored(*row_bytes(dtype, values.size()));
  encode(dtype, values, stored);
  return stored;
}

template <typename T>
void put(std::vector<std::byte>& stored, size_t offset, T value) {
  std::memcpy(stored.data() + offset, &value, sizeof value);
}

TEST(CheckValues, TakesLargeFiniteOnes) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0}) {
    EXPECT_TRUE(check(dtype, stored_values(dtype)).ok()) << dtype_name(dtype);
  }
}

TEST(CheckValues, NamesTensorAndPlace) {
  for (const float bad : {kInfinity, -kInfinity, kNan}) {
    auto stored = stored_values(DType::kF32);
    put(stored, 95 * 4, bad);
    const auto status = check(DType::kF32, stored);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("some.gguf: model.x.weight: value 95"), std::string::npos)
        << status.error().message;
  }
}

TEST(CheckValues, RefusesHalfPrecisionInfinities) {
  auto f16 = stored_values(DType::kF16);
  put<uint16_t>(f16, 10, 0xfc00);
  EXPECT_FALSE(check(DType::kF16, f16).ok());
  auto bf16 = stored_values(DType::kBF16);
  put<uint16_t>(bf16, 10, 0x7f81);
  EXPECT_FALSE(check(DType::kBF16, bf16).ok());
}

/// Wherever an infinity in a block makes a decoded value infinite, and nowhere else, the check sees it.
TEST(CheckValues, LooksAtEveryScaleOfEveryBlockType) {
  for (int type = static_cast<int>(DType::kQ4_0); type < kGgufDTypes; ++type) {
    const auto dtype = static_cast<DType>(type);
    const auto bytes = static_cast<size_t>(block_bytes(dtype));
    std::vector<float> values(2 * static_cast<size_t>(block_elements(dtype)));
    bool found = false;
    for (size_t offset = 0; offset + 1 < bytes; offset += 2) {
      std::vector<std::byte> stored(2 * bytes, std::byte{1});
      put<uint16_t>(stored, bytes + offset, 0x7c00);
      decode(dtype, stored, values);
      const bool finite = std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
      EXPECT_EQ(check(dtype, stored).ok(), finite) << dtype_name(dtype) << " at byte " << offset;
      found = found || !finite;
    }
    EXPECT_TRUE(found) << dtype_name(dtype);
  }
}

TEST(CheckValues, RefusesScalesOfBlocks) {
  auto stored = stored_values(DType::kQ4_0);
  put<uint16_t>(stored, 2 * 18, 0x7e00);
  const auto status = check(DType::kQ4_0, stored);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("scale of block 2"), std::string::npos) << status.error().message;
}

TEST(CheckValues, ReadsTheScalesOfCodes) {
  const std::vector<std::byte> codes(64);
  for (const float broken : {0.0f, -0.0f, -kInfinity, kInfinity, kNan}) {
    std::vector<float> scales(4, 0.5f);
    NamedTensor tensor = {"model.x.weight",
                          {DType::kI4, {4, 32}, codes, {DType::kF32, 1, std::as_bytes(std::span(scales))}}};
    EXPECT_TRUE(check_values(tensor, "folder").ok());
    scales[2] = broken;
    const auto status = check_values(tensor, "folder");
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("folder: model.x.weight"), std::string::npos) << status.error().message;
    EXPECT_NE(status.error().message.find("row 2"), std::string::npos) << status.error().message;
  }
}

TEST(CheckValues, FindsTheLowestCode) {
  for (const DType dtype : {DType::kI8, DType::kI4, DType::kI2, DType::kS4, DType::kS2}) {
    std::vector<int8_t> codes(9000, static_cast<int8_t>(code_range(code_bits(dtype)).lowest + 1));
    std::vector<std::byte> stored(*row_bytes(dtype, codes.size()));
    const TensorView view = {dtype, {1, 9000}, stored};
    pack_codes(dtype, codes, stored);
    EXPECT_FALSE(has_lowest_code(view)) << dtype_name(dtype);
    --codes.back();
    pack_codes(dtype, codes, stored);
    EXPECT_TRUE(has_lowest_code(view)) << dtype_name(dtype);
  }
}

}  // namespace
}  // namespace carat
