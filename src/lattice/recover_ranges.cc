#include "lattice/recover_ranges.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr uint32_t kLowHalf = 0xffff;
constexpr uint32_t kSmallestBF16 = 0x00010000, kLargestBF16 = 0x7f7f0000;
constexpr uint32_t kSmallestF32 = 1, kLargestF32 = 0x7f7fffff;
constexpr float kSmallestF16 = 0x1p-24f, kLargestF16 = 65504.0f, kBeyondF16 = 65536.0f;

float number(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

FloatRange rounded_to_bf16(uint32_t bits) {
  if ((bits & kLowHalf) != 0) return {};
  const uint32_t odd = (bits >> 16) & 1u;  // the numbers halfway to a neighbour go to the even one
  return {bits - 0x8000u + odd, bits + 0x8000u - odd};
}

FloatRange rounded_to_f16(float magnitude) {
  const uint16_t half = f16_from_float(magnitude);
  if (float_from_f16(half) != magnitude) return {};
  const uint32_t odd = half & 1u;
  const float above = magnitude == kLargestF16 ? kBeyondF16 : float_from_f16(static_cast<uint16_t>(half + 1));
  const float below = float_from_f16(static_cast<uint16_t>(half - 1));
  return {bits_of((below + magnitude) / 2) + odd, bits_of((magnitude + above) / 2) - odd};
}

bool is_f16(uint32_t bits) { return float_from_f16(f16_from_float(number(bits))) == number(bits); }

// Quotients are at most a few numbers away from the scales that these look for.

/// The least scale whose product with `factor` is not below `product`.
uint32_t first_scale(float factor, float product) {
  uint32_t bits = bits_of(product / factor);
  while (bits > 0 && factor * number(bits - 1) >= product) --bits;
  while (factor * number(bits) < product) ++bits;
  return bits;
}

/// The greatest scale whose product with `factor` is not above `product`.
uint32_t last_scale(float factor, float product) {
  uint32_t bits = bits_of(product / factor);
  while (factor * number(bits + 1) <= product) ++bits;
  while (bits > 0 && factor * number(bits) > product) --bits;
  return bits;
}

}  // namespace

FloatRange rounded_to(DType type, float magnitude) {
  if (type == DType::kBF16) return rounded_to_bf16(bits_of(magnitude));
  if (type == DType::kF16) return rounded_to_f16(magnitude);
  CARAT_CHECK(type == DType::kF32, "values of a float type");
  return {bits_of(magnitude), bits_of(magnitude)};
}

FloatRange scales_of(int code, FloatRange products) {
  return {first_scale(static_cast<float>(code), number(products.first)),
          last_scale(static_cast<float>(code), number(products.last))};
}

FloatRange scales_of(int code, FloatRange products, FloatRange scales) {
  // After a few magnitudes the scales are so few that all of them have their products in the range, as a rule.
  const auto factor = static_cast<float>(code);
  const float least = number(products.first), most = number(products.last);
  if (factor * number(scales.first) < least) scales.first = first_scale(factor, least);
  if (factor * number(scales.last) > most) scales.last = std::min(scales.last, last_scale(factor, most));
  return scales;
}

CodeSpan codes_of(FloatRange scales, FloatRange products) {
  constexpr double kMoreThanRounding = 0x1p-22, kBeyondCodes = 1000;
  const double least = static_cast<double>(number(products.first)) / static_cast<double>(number(scales.last));
  const double most = static_cast<double>(number(products.last)) / static_cast<double>(number(scales.first));
  const double first = std::min(least * (1 - kMoreThanRounding), kBeyondCodes);
  const double last = std::min(most * (1 + kMoreThanRounding), kBeyondCodes);
  return {static_cast<int>(first) + 1, static_cast<int>(last)};
}

FloatRange reach_of(DType type) {
  if (type == DType::kBF16) return {kSmallestBF16, kLargestBF16};
  if (type == DType::kF16) return {bits_of(kSmallestF16), bits_of(kLargestF16)};
  CARAT_CHECK(type == DType::kF32, "scales of a float type");
  return {kSmallestF32, kLargestF32};
}

uint32_t simplest(FloatRange range) {
  // All numbers of the range begin like the last one, up to the bit where the one before the first differs from it.
  const int differing = std::bit_width((range.first - 1) ^ range.last) - 1;
  return range.last & (~uint32_t{0} << differing);
}

std::optional<uint32_t> simplest_of(DType type, FloatRange range) {
  const FloatRange reachable = intersection(range, reach_of(type));
  if (reachable.empty()) return std::nullopt;
  const uint32_t found = simplest(reachable);
  if (type == DType::kBF16 && (found & kLowHalf) != 0) return std::nullopt;
  if (type == DType::kF16 && !is_f16(found)) return std::nullopt;
  return found;
}

}  // namespace carat
