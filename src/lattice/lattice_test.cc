#include "lattice/lattice.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "lattice/q4_0.h"
#include "tensor/float_formats.h"
#include "tests/support/random_blocks.h"

namespace carat {
namespace {

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::vector<std::byte> encoded(DType dtype, std::span<const float> values) {
  std::vector<std::byte> bytes(*row_bytes(dtype, values.size()));
  encode(dtype, values, bytes);
  return bytes;
}

std::vector<float> snapped(DType dtype, std::span<const float> values) {
  std::vector<float> out(values.size());
  snap(dtype, values, out);
  return out;
}

/// Values that every type can hold as finite ones: some of them zero, subnormal, tied.
std::vector<float> values_of_all_kinds(Random& random, size_t n) {
  std::vector<float> values(n);
  for (float& value : values) {
    value = std::ldexp(random.normal(), static_cast<int>(random.below(40)) - 30);
    if (random.below(10) == 0) value = 0.0f;
    if (random.below(10) == 0) value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xffff0000u) * 1.00390625f;
    if (random.below(50) == 0) value = -std::numeric_limits<float>::denorm_min();
    if (random.below(50) == 0) value = -0.0f;
  }
  return values;
}

class Lattice : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, Lattice,
                         testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ8_0),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

TEST_P(Lattice, SnappingTwiceIsSnappingOnce) {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto once = snapped(GetParam(), values_of_all_kinds(random, 96));
    ASSERT_TRUE(same_bits(snapped(GetParam(), once), once)) << "round " << round;
  }
}

TEST_P(Lattice, SnapIsDecodeOfEncode) {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    const auto values = values_of_all_kinds(random, 96);
    const auto bytes = encoded(GetParam(), values);
    std::vector<float> decoded(values.size());
    decode(GetParam(), bytes, decoded);
    ASSERT_TRUE(same_bits(snapped(GetParam(), values), decoded)) << "round " << round;
    ASSERT_EQ(encoded(GetParam(), decoded), bytes) << "round " << round;
  }
}

TEST_P(Lattice, SnapsInPlace) {
  Random random(3);
  auto values = values_of_all_kinds(random, 64);
  const auto expected = snapped(GetParam(), values);
  snap(GetParam(), values, values);
  EXPECT_TRUE(same_bits(values, expected));
}

TEST_P(Lattice, BlocksDoNotSeeEachOther) {
  Random random(4);
  const auto values = values_of_all_kinds(random, 96);
  const auto together = encoded(GetParam(), values);
  std::vector<std::byte> apart;
  for (size_t i = 0; i < values.size(); i += 32) {
    const auto block = encoded(GetParam(), std::span(values).subspan(i, 32));
    apart.insert(apart.end(), block.begin(), block.end());
  }
  EXPECT_EQ(together, apart);
}

TEST_P(Lattice, NothingIsNoBytes) {
  encode(GetParam(), {}, {});
  decode(GetParam(), {}, {});
  snap(GetParam(), {}, {});
}

TEST_P(Lattice, BytesMayLieAnywhere) {
  Random random(5);
  const auto values = values_of_all_kinds(random, 64);
  const auto bytes = encoded(GetParam(), values);
  for (size_t offset = 1; offset < 8; ++offset) {
    std::vector<std::byte> shifted(bytes.size() + offset);
    encode(GetParam(), values, std::span(shifted).subspan(offset));
    std::vector<float> decoded(values.size());
    decode(GetParam(), std::span(shifted).subspan(offset), decoded);
    EXPECT_TRUE(same_bits(decoded, snapped(GetParam(), values))) << offset;
  }
}

TEST_P(Lattice, RowsAndTensorsDecodeAlike) {
  Random random(6);
  const auto values = values_of_all_kinds(random, 5 * 64);
  const auto bytes = encoded(GetParam(), values);
  const TensorView view = {GetParam(), {5, 64}, bytes};
  const auto whole = decode_tensor(view);
  EXPECT_TRUE(same_bits(whole, snapped(GetParam(), values)));
  for (int64_t row = 0; row < 5; ++row) {
    std::vector<float> one(64);
    decode_row(view, row, one);
    EXPECT_TRUE(same_bits(one, std::span(whole).subspan(static_cast<size_t>(row) * 64, 64)));
  }
}

TEST(LatticeOfTypes, FloatsFollowTheirFormat) {
  const std::vector<float> values = {1.0f, -1.00390625f, 3.14159274f, 0x1p-20f};
  const auto f16 = snapped(DType::kF16, values), bf16 = snapped(DType::kBF16, values);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(f16[i], float_from_f16(f16_from_float(values[i])));
    EXPECT_EQ(bf16[i], float_from_bf16(bf16_from_float(values[i])));
  }
  EXPECT_TRUE(same_bits(snapped(DType::kF32, values), values));
}

TEST(LatticeOfTypes, WhatIsFiniteStaysFinite) {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> values(32, -largest);
  for (const DType dtype : all_dtypes()) {
    if (!can_encode(dtype)) continue;
    for (const float value : snapped(dtype, values)) EXPECT_TRUE(std::isfinite(value)) << dtype_name(dtype);
    EXPECT_TRUE(same_bits(snapped(dtype, snapped(dtype, values)), snapped(dtype, values))) << dtype_name(dtype);
  }
  EXPECT_EQ(snapped(DType::kF16, values)[0], -65504.0f);
  EXPECT_EQ(snapped(DType::kBF16, values)[0], -0x1.fep127f);
}

TEST(LatticeOfTypes, FiveCanBeEncoded) {
  std::string names;
  for (const DType dtype : all_dtypes()) {
    if (can_encode(dtype)) names += (names.empty() ? "" : ", ") + std::string(dtype_name(dtype));
  }
  EXPECT_EQ(encodable_names(), "F32, F16, BF16, Q4_0, Q8_0");
  EXPECT_EQ(names, encodable_names());
}

class EveryType : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, EveryType, testing::ValuesIn(all_dtypes()),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

TEST_P(EveryType, DecodesBytesThatLieAnywhere) {
  Random random(8);
  const auto bytes = random_blocks(GetParam(), 512, random);
  std::vector<float> expected(512), decoded(512);
  decode(GetParam(), bytes, expected);
  for (size_t offset = 1; offset < 8; ++offset) {
    std::vector<std::byte> shifted(offset);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    decode(GetParam(), std::span(shifted).subspan(offset), decoded);
    EXPECT_TRUE(same_bits(decoded, expected)) << offset;
  }
}

TEST_P(EveryType, BlocksAreDecodedAlone) {
  Random random(9);
  const auto per_block = static_cast<size_t>(block_elements(GetParam()));
  const auto block_size = static_cast<size_t>(block_bytes(GetParam()));
  const auto bytes = random_blocks(GetParam(), 512, random);
  std::vector<float> together(512);
  decode(GetParam(), bytes, together);
  for (size_t block = 0; block < 512 / per_block; ++block) {
    std::vector<float> alone(per_block);
    decode(GetParam(), std::span(bytes).subspan(block * block_size, block_size), alone);
    ASSERT_TRUE(same_bits(alone, std::span(together).subspan(block * per_block, per_block))) << block;
  }
}

TEST(LatticeOfTypes, AQ4_0LatticeSurvivesABf16Checkpoint) {
  // Three equal blocks after a detour over bfloat16 storage: what an unquantized QAT checkpoint relies on.
  Random random(7);
  for (int round = 0; round < 5000; ++round) {
    const auto values = values_of_all_kinds(random, 32);
    const auto block = encoded(DType::kQ4_0, values);
    const auto stored = snapped(DType::kBF16, snapped(DType::kQ4_0, values));
    ASSERT_EQ(encoded(DType::kQ4_0, stored), block) << "round " << round;
  }
}

TEST(LatticeDeathTest, PartOfABlockIsOurMistake) {
  std::vector<float> values(33);
  EXPECT_DEATH(snap(DType::kQ4_0, values, values), "whole blocks");
  std::vector<std::byte> bytes(17);
  EXPECT_DEATH(encode(DType::kQ4_0, std::span(values).first(32), bytes), "fit each other");
}

TEST(LatticeDeathTest, TypesThatAreOnlyReadAreNotMade) {
  const std::vector<float> values(256);
  std::vector<std::byte> bytes(210);
  EXPECT_DEATH(encode(DType::kQ6_K, values, bytes), "can be encoded");
}

}  // namespace
}  // namespace carat
