#include "lattice/recarry.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <vector>

#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "tensor/float_formats.h"
#include "tests/support/random_blocks.h"

namespace carat {
namespace {

struct Pair {
  DType codes;
  DType blocks;
};

constexpr Pair kPairs[] = {
    {DType::kI8, DType::kQ8_0},  {DType::kI4, DType::kQ4_0},  {DType::kS4, DType::kQ4_0}, {DType::kI2, DType::kQ2_0},
    {DType::kI2, DType::kTQ2_0}, {DType::kS2, DType::kTQ2_0}, {DType::kS2, DType::kQ2_0}, {DType::kI2, DType::kQ4_0},
};

/// Codes of the whole range, for the longest block of all.
std::vector<int8_t> any_codes(DType dtype, int64_t count) {
  const CodeRange range = code_range(code_bits(dtype));
  return *rc::gen::container<std::vector<int8_t>>(static_cast<size_t>(count),
                                                  rc::gen::map(rc::gen::inRange(range.lowest, range.highest + 1),
                                                               [](int code) { return static_cast<int8_t>(code); }));
}

std::vector<std::byte> packed(DType dtype, std::span<const int8_t> codes) {
  std::vector<std::byte> bytes(*row_bytes(dtype, codes.size()));
  pack_codes(dtype, codes, bytes);
  return bytes;
}

std::vector<std::byte> as_blocks(const Pair& pair, std::span<const int8_t> codes, float scale) {
  std::vector<std::byte> blocks(*row_bytes(pair.blocks, codes.size()));
  blocks_from_codes(pair.codes, packed(pair.codes, codes), *scale_of_blocks(scale), pair.blocks, blocks);
  return blocks;
}

TEST(Recarry, ThereAndBackAreTheSameCodes) {
  for (const Pair& pair : kPairs) {
    EXPECT_TRUE(rc::check(std::string(dtype_name(pair.codes)) + " in " + std::string(dtype_name(pair.blocks)), [&] {
      const std::vector<int8_t> codes = any_codes(pair.codes, *rc::gen::element(256, 512, 1536));
      const float scale =
          std::ldexp(1.0f + static_cast<float>(*rc::gen::inRange(0, 1 << 23)) * 0x1p-23f, *rc::gen::inRange(-23, 15));
      const std::vector<std::byte> blocks = as_blocks(pair, codes, scale);
      std::vector<std::byte> back(*row_bytes(pair.codes, codes.size()));
      const auto found = codes_from_blocks(pair.blocks, blocks, pair.codes, back);
      RC_ASSERT(back == packed(pair.codes, codes));
      const float rounded = float_from_f16(f16_from_float(scale));
      RC_ASSERT(found == rounded);
      std::vector<float> values(codes.size());
      decode(pair.blocks, blocks, values);
      for (size_t i = 0; i < codes.size(); ++i) RC_ASSERT(values[i] == static_cast<float>(codes[i]) * rounded);
    }));
  }
}

TEST(Recarry, TheTableOfTwoBitCodes) {
  // d = -s and e = 1 - q, so that -2, -1, 0, 1 are stored as 3, 2, 1, 0.
  std::vector<int8_t> codes(64, 0);
  codes[0] = -2, codes[1] = -1, codes[2] = 0, codes[3] = 1;
  const std::vector<std::byte> blocks = as_blocks({DType::kI2, DType::kQ2_0}, codes, 0.5f);
  EXPECT_EQ(std::to_integer<int>(blocks[0]) | std::to_integer<int>(blocks[1]) << 8, 0xb800);
  EXPECT_EQ(std::to_integer<int>(blocks[2]), 0b00'01'10'11);
}

TEST(Recarry, ChoosesTheBlockByHowManyCodesShareAScale) {
  EXPECT_EQ(block_type_of(DType::kI8, 96), DType::kQ8_0);
  EXPECT_EQ(block_type_of(DType::kS4, 96), DType::kQ4_0);
  EXPECT_EQ(block_type_of(DType::kI4, 48), std::nullopt);
  EXPECT_EQ(block_type_of(DType::kI2, 512), DType::kTQ2_0);
  EXPECT_EQ(block_type_of(DType::kI2, 192), DType::kQ2_0);
  EXPECT_EQ(block_type_of(DType::kS2, 96), DType::kQ4_0);
  EXPECT_EQ(block_type_of(DType::kS2, 48), std::nullopt);
}

TEST(Recarry, RefusesScalesThatBinary16DoesNotHold) {
  EXPECT_EQ(scale_of_blocks(0x1p-25f), std::nullopt);  // halfway between zero and the smallest, to even
  EXPECT_EQ(scale_of_blocks(0x1.8p-25f), 1);
  EXPECT_EQ(scale_of_blocks(-0x1p-26f), std::nullopt);
  EXPECT_EQ(scale_of_blocks(-1.5f), 0xbe00);
  EXPECT_EQ(scale_of_blocks(65519.0f), 0x7bff);
  EXPECT_EQ(scale_of_blocks(65520.0f), std::nullopt);
  EXPECT_EQ(scale_of_blocks(1.0f + 0x1p-11f), 0x3c00);  // halfway, to even
}

/// Codes whose negatives are codes too may lie in blocks whose scales have either sign.
TEST(Recarry, TakesEitherSignOfAScale) {
  Random random(11);
  for (const Pair& pair : kPairs) {
    std::vector<int8_t> codes(1024);
    const int highest = code_range(code_bits(pair.codes)).highest;
    for (int8_t& code : codes) code = static_cast<int8_t>(static_cast<int>(random.below(2 * highest + 1)) - highest);
    std::vector<std::byte> blocks = as_blocks(pair, codes, 0.75f);
    const auto stride = static_cast<size_t>(block_bytes(pair.blocks));
    for (size_t block = 0; block < blocks.size(); block += 2 * stride) {
      blocks[block + f16_offsets(pair.blocks).front() + 1] ^= std::byte{0x80};
    }
    std::vector<std::byte> back(*row_bytes(pair.codes, codes.size()));
    ASSERT_EQ(codes_from_blocks(pair.blocks, blocks, pair.codes, back), 0.75f) << dtype_name(pair.blocks);
    std::vector<float> values(codes.size());
    decode(pair.blocks, blocks, values);
    unpack_codes(pair.codes, back, codes);
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<float>(codes[i]) * 0.75f) << i;
  }
}

TEST(Recarry, OneBlockKeepsTheSignOfItsScale) {
  Random random(12);
  for (const DType blocks : {DType::kQ4_0, DType::kQ8_0, DType::kQ2_0, DType::kTQ2_0}) {
    const auto length = static_cast<size_t>(block_elements(blocks));
    const CodeRange range = code_range(code_bits(*code_type_of(blocks)));
    for (const float scale : {0.375f, -0.375f, 0x1p-24f, -65504.0f, 0.0f}) {
      std::vector<int8_t> codes(length);
      const auto codes_in_all = static_cast<uint32_t>(range.highest - range.lowest + 1);
      for (int8_t& code : codes)
        code = static_cast<int8_t>(static_cast<int>(random.below(codes_in_all)) + range.lowest);
      if (scale == 0) std::ranges::fill(codes, int8_t{0});
      std::vector<std::byte> block(*row_bytes(blocks, length));
      blocks_from_codes(codes, f16_from_float(scale), blocks, block);
      std::vector<int8_t> back(length, 99);
      ASSERT_EQ(codes_of_block(blocks, block, back), scale) << dtype_name(blocks);
      ASSERT_EQ(back, codes) << dtype_name(blocks) << " " << scale;
      std::vector<float> values(length);
      decode(blocks, block, values);
      for (size_t i = 0; i < length; ++i) ASSERT_EQ(values[i], static_cast<float>(codes[i]) * scale);
    }
    std::vector<std::byte> broken(*row_bytes(blocks, length));
    std::vector<int8_t> codes(length);
    blocks_from_codes(codes, 0x7c00, blocks, broken);
    EXPECT_EQ(codes_of_block(blocks, broken, codes), std::nullopt) << dtype_name(blocks);
  }
}

TEST(Recarry, ABlockOfScaleZeroFitsAnyScale) {
  const Pair pair = {DType::kI4, DType::kQ4_0};
  std::vector<int8_t> codes(96, 3);
  std::vector<std::byte> blocks = as_blocks(pair, codes, 0.25f);
  blocks[18] = blocks[19] = std::byte{0};
  std::vector<std::byte> back(48);
  EXPECT_EQ(codes_from_blocks(pair.blocks, blocks, pair.codes, back), 0.25f);
  std::fill_n(codes.begin() + 32, 32, int8_t{0});
  EXPECT_EQ(back, packed(pair.codes, codes));
  for (const size_t block : {0, 36}) blocks[block] = blocks[block + 1] = std::byte{0};
  EXPECT_EQ(codes_from_blocks(pair.blocks, blocks, pair.codes, back), 1.0f);
  EXPECT_EQ(back, packed(pair.codes, std::vector<int8_t>(96, 0)));
}

TEST(Recarry, RefusesSeveralScalesAndWhatIsNotFinite) {
  const Pair pair = {DType::kI8, DType::kQ8_0};
  const std::vector<int8_t> codes(64, 5);
  std::vector<std::byte> blocks = as_blocks(pair, codes, 0.25f);
  std::vector<std::byte> back(64);
  EXPECT_TRUE(codes_from_blocks(pair.blocks, blocks, pair.codes, back));
  blocks[34] ^= std::byte{1};
  EXPECT_FALSE(codes_from_blocks(pair.blocks, blocks, pair.codes, back));
  blocks[34] = std::byte{0};
  blocks[35] = std::byte{0x7c};
  EXPECT_FALSE(codes_from_blocks(pair.blocks, blocks, pair.codes, back));
}

TEST(Recarry, NegativeScalesFlipTheCodesWhereTheyFit) {
  const Pair pair = {DType::kI4, DType::kQ4_0};
  std::vector<int8_t> codes(32, 0);
  codes[1] = 7, codes[2] = -7;
  std::vector<std::byte> blocks = as_blocks(pair, codes, 0.25f);
  blocks[1] ^= std::byte{0x80};
  std::vector<std::byte> back(16);
  EXPECT_EQ(codes_from_blocks(pair.blocks, blocks, pair.codes, back), 0.25f);
  codes[1] = -7, codes[2] = 7;
  EXPECT_EQ(back, packed(pair.codes, codes));
  codes[2] = -8;
  blocks = as_blocks(pair, codes, 0.25f);
  blocks[1] ^= std::byte{0x80};
  EXPECT_FALSE(codes_from_blocks(pair.blocks, blocks, pair.codes, back));
}

}  // namespace
}  // namespace carat
