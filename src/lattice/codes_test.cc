#include "lattice/codes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr DType kCodeTypes[] = {DType::kI8, DType::kI4, DType::kI2, DType::kS4, DType::kS2};

using Codes = std::vector<int8_t>;
using Stored = std::vector<std::byte>;

Stored packed(DType dtype, const Codes& codes) {
  Stored bytes(*row_bytes(dtype, codes.size()), std::byte{0xff});
  pack_codes(dtype, codes, bytes);
  return bytes;
}

Codes unpacked(DType dtype, const Stored& bytes) {
  Codes codes(bytes.size() * static_cast<size_t>(8 / code_bits(dtype)));
  unpack_codes(dtype, bytes, codes);
  return codes;
}

Stored encoded(DType dtype, const std::vector<float>& values, float scale) {
  Stored bytes(*row_bytes(dtype, values.size()));
  encode_codes(dtype, values, scale, bytes);
  return bytes;
}

std::vector<float> values_of(const Codes& codes, float scale) {
  std::vector<float> values;
  for (const int8_t code : codes) values.push_back(static_cast<float>(code) * scale);
  return values;
}

Stored any_bytes() {
  const auto length = static_cast<size_t>(*rc::gen::inRange(0, 400));
  Stored bytes(length);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(*rc::gen::inRange(0, 256));
  return bytes;
}

float any_scale() {
  return std::ldexp(1.0f + static_cast<float>(*rc::gen::inRange(0, 1 << 23)) * 0x1p-23f, *rc::gen::inRange(-100, 100));
}

class CodeTypes : public testing::TestWithParam<DType> {
 protected:
  static DType dtype() { return GetParam(); }
  static CodeRange range() { return code_range(code_bits(dtype())); }
};

INSTANTIATE_TEST_SUITE_P(Types, CodeTypes, testing::ValuesIn(kCodeTypes),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

TEST_P(CodeTypes, PackingIsTheInverseOfUnpacking) {
  EXPECT_TRUE(rc::check([] {
    const Stored bytes = any_bytes();
    const Codes codes = unpacked(dtype(), bytes);
    for (const int8_t code : codes) RC_ASSERT(code >= range().lowest && code <= range().highest);
    RC_ASSERT(packed(dtype(), codes) == bytes);
  }));
}

TEST_P(CodeTypes, DecodingGivesTheCodes) {
  EXPECT_TRUE(rc::check([] {
    const Stored bytes = any_bytes();
    const Codes codes = unpacked(dtype(), bytes);
    std::vector<float> values(codes.size());
    decode(dtype(), bytes, values);
    RC_ASSERT(std::equal(codes.begin(), codes.end(), values.begin(), values.end()));
  }));
}

TEST_P(CodeTypes, EncodingAfterDecodingChangesNothing) {
  EXPECT_TRUE(rc::check([] {
    const Stored bytes = any_bytes();
    const float scale = any_scale();
    RC_ASSERT(encoded(dtype(), values_of(unpacked(dtype(), bytes), scale), scale) == bytes);
  }));
}

TEST_P(CodeTypes, EncodingPicksTheNearestCode) {
  EXPECT_TRUE(rc::check([] {
    const float scale = any_scale();
    std::vector<float> values(64);
    for (float& value : values) value = scale * static_cast<float>(*rc::gen::inRange(-2000, 2000)) / 10;
    const Codes codes = unpacked(dtype(), encoded(dtype(), values, scale));
    for (size_t i = 0; i < values.size(); ++i) {
      const float quotient = values[i] / scale;
      const double nearest = std::nearbyint(static_cast<double>(quotient));
      RC_ASSERT(codes[i] == std::clamp<double>(nearest, range().lowest, range().highest));
    }
  }));
}

TEST_P(CodeTypes, HalvesGoToEven) {
  const std::vector<float> values = {0.5f, -0.5f, -1.5f, 0.0f};
  EXPECT_EQ(unpacked(dtype(), encoded(dtype(), values, 1.0f)), (Codes{0, 0, -2, 0}));
}

TEST_P(CodeTypes, MinMaxScalePutsTheExtremesHalfAStepBeyond) {
  const int bits = code_bits(dtype());
  for (const float step : {1.0f, 0.25f, 0.013f, 3e20f, 1e-20f}) {
    const float largest = (static_cast<float>(range().highest) + 0.5f) * step;
    const std::vector<float> values = {largest, -largest, largest / 9, 0.0f};
    const float scale = min_max_scale(bits, values);
    EXPECT_EQ(scale, largest / (static_cast<float>(range().highest) + 0.5f));
    const Codes codes = unpacked(dtype(), encoded(dtype(), values, scale));
    EXPECT_EQ(codes[0], range().highest);
    EXPECT_EQ(codes[3], 0);
    const bool tie = -largest / scale == -static_cast<float>(range().highest) - 0.5f;
    EXPECT_EQ(codes[1], tie ? range().lowest : range().lowest + 1);
    EXPECT_TRUE(tie || (step != 1.0f && step != 0.25f));
  }
  EXPECT_EQ(min_max_scale(bits, std::vector<float>(8, -0.0f)), 1.0f);
  EXPECT_EQ(min_max_scale(bits, {}), 1.0f);
}

TEST_P(CodeTypes, RowsAreDecodedWithTheScalesOfTheirGroups) {
  const Codes codes = {1, -2, 0, -1, -2, 1, 1, 0, 0, 0, -1, -1, 1, 1, -2, -2};
  const Stored bytes = packed(dtype(), codes), scales = [] {
    Stored stored(4 * sizeof(float));
    encode(DType::kF32, std::vector<float>{0.1f, 3.0f, 0.7f, 1e-3f}, stored);
    return stored;
  }();
  const std::array scale_of = {0.1f, 3.0f, 0.7f, 1e-3f};
  const TensorView view{dtype(), {2, 8}, bytes, {DType::kF32, 2, scales}};
  const std::vector<float> values = decode_tensor(view);
  for (size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(values[i], static_cast<float>(codes[i]) * scale_of[i / 4]) << i;
}

TEST(Codes, LieInTheBytesAsTheirPicturesSay) {
  EXPECT_EQ(packed(DType::kI8, {-128, 127}), (Stored{std::byte{0x80}, std::byte{0x7f}}));
  EXPECT_EQ(packed(DType::kI4, {-8, 7, 0, 1}), (Stored{std::byte{0xf0}, std::byte{0x98}}));
  EXPECT_EQ(packed(DType::kS4, {-8, 7, 0, 1}), (Stored{std::byte{0x78}, std::byte{0x10}}));
  EXPECT_EQ(packed(DType::kI2, {-2, -1, 0, 1}), (Stored{std::byte{0b11100100}}));
  EXPECT_EQ(packed(DType::kS2, {-2, -1, 0, 1}), (Stored{std::byte{0b01001110}}));
}

TEST(Codes, TwosComplementIsOffsetBinaryWithTheHighBitsFlipped) {
  EXPECT_TRUE(rc::check([] {
    Stored flipped = any_bytes();
    const Codes fours = unpacked(DType::kI4, flipped), twos = unpacked(DType::kI2, flipped);
    for (std::byte& byte : flipped) byte ^= std::byte{0x88};
    RC_ASSERT(unpacked(DType::kS4, flipped) == fours);
    for (std::byte& byte : flipped) byte ^= std::byte{0x88 ^ 0xaa};
    RC_ASSERT(unpacked(DType::kS2, flipped) == twos);
  }));
}

}  // namespace
}  // namespace carat
