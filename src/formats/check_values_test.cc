#include "formats/check_values.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Status check(DType dtype, const std::vector<std::byte>& stored) {
  const int64_t elements = static_cast<int64_t>(stored.size()) / block_bytes(dtype) * block_elements(dtype);
  return check_values({"model.x.weight", {dtype, {elements / 32, 32}, stored}}, "some.gguf");
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

TEST(CheckValues, RefusesScalesOfBlocks) {
  auto stored = stored_values(DType::kQ4_0);
  put<uint16_t>(stored, 2 * 18, 0x7e00);
  const auto status = check(DType::kQ4_0, stored);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("scale of block 2"), std::string::npos) << status.error().message;
}

}  // namespace
}  // namespace carat
