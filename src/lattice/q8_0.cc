#include "lattice/q8_0.h"

#include <algorithm>
#include <cmath>

#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr float kLargestCode = 127.0f;
constexpr float kLargestScale = 65504.0f;  // the largest finite binary16

/// Half away from zero. The difference is exact, which adding a half before cutting off would not be.
int8_t nearest_integer(float value) {
  const float magnitude = std::fabs(value);
  const int whole = static_cast<int>(magnitude);
  const int rounded = whole + (magnitude - static_cast<float>(whole) >= 0.5f ? 1 : 0);
  return static_cast<int8_t>(value < 0.0f ? -rounded : rounded);
}

}  // namespace

BlockQ8_0 encode_q8_0(Q8_0Values values) {
  float largest = 0.0f;
  for (float value : values) largest = std::max(largest, std::fabs(value));
  const float step = largest / kLargestCode;
  BlockQ8_0 block{};
  block.scale = f16_from_float(std::min(step, kLargestScale));
  if (block.scale == 0) return block;
  const float inverse = 1.0f / step;
  for (int i = 0; i < BlockQ8_0::kElements; ++i) block.codes[i] = nearest_integer(values[i] * inverse);
  return block;
}

void decode_q8_0(const BlockQ8_0& block, std::span<float, BlockQ8_0::kElements> values) {
  const float scale = float_from_f16(block.scale);
  for (int i = 0; i < BlockQ8_0::kElements; ++i) values[i] = static_cast<float>(block.codes[i]) * scale;
}

}  // namespace carat
