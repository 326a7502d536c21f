#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <limits>

namespace carat {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

TEST(DType, NamesAndBlocks) {
  struct {
    DType dtype;
    const char* name;
    int64_t elements, bytes;
  } constexpr kExpected[kDTypes] = {
      {DType::kF32, "F32", 1, 4},       {DType::kF16, "F16", 1, 2},        {DType::kBF16, "BF16", 1, 2},
      {DType::kQ4_0, "Q4_0", 32, 18},   {DType::kQ4_1, "Q4_1", 32, 20},    {DType::kQ5_0, "Q5_0", 32, 22},
      {DType::kQ5_1, "Q5_1", 32, 24},   {DType::kQ8_0, "Q8_0", 32, 34},    {DType::kQ2_K, "Q2_K", 256, 84},
      {DType::kQ3_K, "Q3_K", 256, 110}, {DType::kQ4_K, "Q4_K", 256, 144},  {DType::kQ5_K, "Q5_K", 256, 176},
      {DType::kQ6_K, "Q6_K", 256, 210}, {DType::kTQ2_0, "TQ2_0", 256, 66}, {DType::kQ2_0, "Q2_0", 64, 18},
      {DType::kI8, "I8", 1, 1},         {DType::kI4, "I4", 2, 1},          {DType::kI2, "I2", 4, 1},
      {DType::kS4, "S4", 2, 1},         {DType::kS2, "S2", 4, 1},
  };
  for (const auto& expected : kExpected) {
    EXPECT_EQ(dtype_name(expected.dtype), expected.name);
    EXPECT_EQ(block_elements(expected.dtype), expected.elements) << expected.name;
    EXPECT_EQ(block_bytes(expected.dtype), expected.bytes) << expected.name;
  }
}

TEST(DType, RowBytesNeedWholeBlocksThatFit) {
  EXPECT_EQ(row_bytes(DType::kF32, 10), 40u);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 64), 36u);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 0), 0u);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 63), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kF32, uint64_t{1} << 62), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kQ4_0, uint64_t{1} << 63), (uint64_t{1} << 58) * 18);
}

TEST(Shape, Text) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text({5}), "[5]");
  EXPECT_EQ(shape_text({2048, 1536}), "[2048, 1536]");
}

TEST(Shape, CountStopsAtOverflow) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({3, 4, 5}), 60);
  EXPECT_EQ(element_count({3, 0, 5}), 0);
  EXPECT_EQ(element_count({kMost}), kMost);
  EXPECT_EQ(element_count({kMost, 2}), std::nullopt);
  EXPECT_EQ(element_count({int64_t{1} << 32, int64_t{1} << 31}), std::nullopt);
  EXPECT_EQ(element_count({-1}), std::nullopt);
  EXPECT_EQ(element_count({-1, -1}), std::nullopt);
  EXPECT_EQ(element_count({std::numeric_limits<int64_t>::min(), -1}), std::nullopt);
}

TEST(TensorBytes, FollowTypeAndShape) {
  EXPECT_EQ(tensor_bytes(DType::kF32, {}), 4u);
  EXPECT_EQ(tensor_bytes(DType::kF16, {3, 5}), 30u);
  EXPECT_EQ(tensor_bytes(DType::kQ4_0, {3, 64}), 108u);
  EXPECT_EQ(tensor_bytes(DType::kQ4_0, {0, 64}), 0u);
  EXPECT_EQ(tensor_bytes(DType::kF32, {7, 0}), 0u);
}

TEST(TensorBytes, RefuseWhatDoesNotFit) {
  EXPECT_EQ(tensor_bytes(DType::kQ4_0, {64, 3}), std::nullopt) << "blocks lie within a row";
  EXPECT_EQ(tensor_bytes(DType::kQ4_0, {}), std::nullopt);
  EXPECT_EQ(tensor_bytes(DType::kF32, {kMost}), std::nullopt);
  EXPECT_EQ(tensor_bytes(DType::kF32, {int64_t{1} << 31, int64_t{1} << 31}), std::nullopt) << "2^62 values, 2^64 bytes";
  EXPECT_EQ(tensor_bytes(DType::kF32, {kMost, kMost}), std::nullopt);
  EXPECT_EQ(tensor_bytes(DType::kF32, {-4, 8}), std::nullopt);
}

TEST(TensorView, RowsAreSlicesOfTheData) {
  std::byte data[24];
  for (int i = 0; i < 24; ++i) data[i] = static_cast<std::byte>(i);
  const TensorView view = {DType::kF16, {2, 3, 2}, data};
  EXPECT_EQ(view.columns(), 2);
  EXPECT_EQ(view.rows(), 6);
  EXPECT_EQ(view.row(5).size(), 4u);
  EXPECT_EQ(view.row(5).data(), data + 20);
}

TEST(TensorView, AScalarIsOneRow) {
  const std::byte data[4] = {};
  const TensorView view = {DType::kF32, {}, data};
  EXPECT_EQ(view.columns(), 1);
  EXPECT_EQ(view.rows(), 1);
  EXPECT_EQ(view.row(0).size(), 4u);
}

TEST(TensorViewDeathTest, ARowBeyondTheLastIsOurMistake) {
  const std::byte data[8] = {};
  const TensorView view = {DType::kF32, {2, 1}, data};
  EXPECT_DEATH((void)view.row(2), "row of a tensor");
  EXPECT_DEATH((void)view.row(-1), "row of a tensor");
}

}  // namespace
}  // namespace carat
