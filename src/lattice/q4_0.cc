#include "lattice/q4_0.h"

#include <algorithm>
#include <cmath>

#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr int kHalf = kQ4_0Elements / 2;
constexpr float kLargestScale = 65280.0f;  // the largest bfloat16 that binary16 can hold
constexpr uint8_t kZeroCode = 8;

uint16_t stored_scale(float step) {
  const float narrow = float_from_bf16(bf16_from_float(step));
  return f16_from_float(std::clamp(narrow, -kLargestScale, kLargestScale));
}

}  // namespace

BlockQ4_0 encode_q4_0(Q4_0Values values) {
  float extremum = 0.0f;
  for (float value : values) {
    if (std::fabs(value) > std::fabs(extremum)) extremum = value;
  }
  const float step = extremum / -8.0f;
  BlockQ4_0 block{};
  block.scale = stored_scale(step);
  const bool vanishes = (block.scale & 0x7fffu) == 0;
  if (vanishes) block.scale = 0;

  const float inverse = vanishes ? 0.0f : 1.0f / step;
  const auto code = [&](float value) {
    return vanishes ? kZeroCode : static_cast<uint8_t>(std::min(15, static_cast<int>(value * inverse + 8.5f)));
  };
  for (int i = 0; i < kHalf; ++i) {
    block.nibbles[i] = static_cast<uint8_t>(code(values[i]) | (code(values[i + kHalf]) << 4));
  }
  return block;
}

void decode_q4_0(const BlockQ4_0& block, std::span<float, kQ4_0Elements> values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < kHalf; ++i) {
    values[i] = static_cast<float>((block.nibbles[i] & 0xf) - 8) * scale;
    values[i + kHalf] = static_cast<float>((block.nibbles[i] >> 4) - 8) * scale;
  }
}

}  // namespace carat
