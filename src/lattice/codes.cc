#include "lattice/codes.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace carat {
namespace {

/// What turns a code's two's complement bits into the stored ones.
uint8_t offset_of(DType dtype) {
  if (dtype == DType::kI4) return 8;
  return dtype == DType::kI2 ? 2 : 0;
}

void check_size(DType dtype, size_t codes, size_t bytes) {
  const auto expected = row_bytes(dtype, codes);
  CARAT_CHECK(is_code_type(dtype) && expected && *expected == bytes, "codes and bytes of one type fit each other");
}

}  // namespace

void unpack_codes(DType dtype, Bytes bytes, std::span<int8_t> codes) {
  check_size(dtype, codes.size(), bytes.size());
  const int bits = code_bits(dtype);
  const auto per_byte = static_cast<size_t>(8 / bits);
  const int offset = offset_of(dtype);
  for (size_t i = 0; i < codes.size(); ++i) {
    const int field =
        std::to_integer<int>(bytes[i / per_byte]) >> (static_cast<int>(i % per_byte) * bits) & ((1 << bits) - 1);
    const bool negative = offset == 0 && field > code_range(bits).highest;
    codes[i] = static_cast<int8_t>(field - offset - (negative ? 1 << bits : 0));
  }
}

void pack_codes(DType dtype, std::span<const int8_t> codes, std::span<std::byte> out) {
  check_size(dtype, codes.size(), out.size());
  const int bits = code_bits(dtype);
  const auto per_byte = static_cast<size_t>(8 / bits);
  const int offset = offset_of(dtype);
  std::ranges::fill(out, std::byte{0});
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto field = static_cast<uint8_t>((codes[i] + offset) & ((1 << bits) - 1));
    out[i / per_byte] |= static_cast<std::byte>(field << (i % per_byte * static_cast<size_t>(bits)));
  }
}

void encode_codes(DType dtype, std::span<const float> values, float scale, std::span<std::byte> out) {
  const CodeRange range = code_range(code_bits(dtype));
  constexpr size_t kAtOnce = 256;
  int8_t codes[kAtOnce];
  for (size_t first = 0; first < values.size(); first += kAtOnce) {
    const size_t count = std::min(kAtOnce, values.size() - first);
    for (size_t i = 0; i < count; ++i) {
      const float code = std::nearbyint(values[first + i] / scale);
      codes[i] =
          static_cast<int8_t>(std::clamp(code, static_cast<float>(range.lowest), static_cast<float>(range.highest)));
    }
    pack_codes(dtype, std::span<const int8_t>(codes, count),
               out.subspan(*row_bytes(dtype, first), *row_bytes(dtype, count)));
  }
}

float min_max_scale(int bits, std::span<const float> values) {
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const float scale = largest / (static_cast<float>(code_range(bits).highest) + 0.5f);
  return scale > 0.0f ? scale : 1.0f;
}

}  // namespace carat
