#include "lattice/small_blocks.h"

#include "tensor/float_formats.h"

namespace carat {
namespace {

/// Codes 0 to 15: the low nibbles are the first half of the block.
int nibble(const uint8_t* nibbles, int i, int elements) {
  const int half = elements / 2;
  return i < half ? nibbles[i] & 0xf : nibbles[i - half] >> 4;
}

int bit(const uint8_t* bits, int i) { return (bits[i / 8] >> (i % 8)) & 1; }

template <typename Block>
int five_bits(const Block& block, int i) {
  return nibble(block.nibbles, i, Block::kElements) + 16 * bit(block.fifth_bits, i);
}

}  // namespace

void decode_q4_1(const BlockQ4_1& block, std::span<float, BlockQ4_1::kElements> values) {
  const float scale = float_from_f16(block.scale), minimum = float_from_f16(block.minimum);
  for (int i = 0; i < BlockQ4_1::kElements; ++i) {
    values[i] = static_cast<float>(nibble(block.nibbles, i, BlockQ4_1::kElements)) * scale + minimum;
  }
}

void decode_q5_0(const BlockQ5_0& block, std::span<float, BlockQ5_0::kElements> values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < BlockQ5_0::kElements; ++i) values[i] = static_cast<float>(five_bits(block, i) - 16) * scale;
}

void decode_q5_1(const BlockQ5_1& block, std::span<float, BlockQ5_1::kElements> values) {
  const float scale = float_from_f16(block.scale), minimum = float_from_f16(block.minimum);
  for (int i = 0; i < BlockQ5_1::kElements; ++i) {
    values[i] = static_cast<float>(five_bits(block, i)) * scale + minimum;
  }
}

void decode_q2_0(const BlockQ2_0& block, std::span<float, BlockQ2_0::kElements> values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < BlockQ2_0::kElements; ++i) {
    values[i] = static_cast<float>(((block.pairs[i / 4] >> (2 * (i % 4))) & 3) - 1) * scale;
  }
}

}  // namespace carat
