#include "lattice/recarry.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "lattice/codes.h"
#include "tensor/block.h"
#include "tensor/float_formats.h"
#include "tensor/super_block.h"

namespace carat {
namespace {

constexpr uint16_t kSign = 0x8000;
constexpr size_t kLongestBlock = kSuperBlockElements;

/// How a type of block holds codes.
struct Carrier {
  DType blocks;
  DType codes;    ///< the widest
  int zero;       ///< the stored number of value 0
  bool negative;  ///< d = -s
};

// Of those that hold codes of one width, the smaller ones first.
constexpr Carrier kCarriers[] = {
    {DType::kTQ2_0, DType::kI2, 1, true},
    {DType::kQ2_0, DType::kI2, 1, true},
    {DType::kQ4_0, DType::kI4, 8, false},
    {DType::kQ8_0, DType::kI8, 0, false},
};

const Carrier* carrier_of(DType blocks) {
  const auto* found = std::ranges::find(kCarriers, blocks, &Carrier::blocks);
  return found == std::end(kCarriers) ? nullptr : found;
}

bool holds(const Carrier& carrier, DType codes) { return code_bits(codes) <= code_bits(carrier.codes); }

const Carrier& known_carrier(DType blocks, DType codes) {
  const Carrier* carrier = carrier_of(blocks);
  CARAT_CHECK(carrier != nullptr && is_code_type(codes) && holds(*carrier, codes), "blocks that can hold these codes");
  return *carrier;
}

/// Where number i of a block lies: the byte behind its scale's side, and the first of its bits.
struct Place {
  size_t byte;
  int shift;
};

Place place_in(DType blocks, size_t i) {
  switch (blocks) {
    case DType::kQ4_0:
      return {i % 16, i < 16 ? 0 : 4};
    case DType::kQ2_0:
      return {i / 4, static_cast<int>(i % 4) * 2};
    case DType::kTQ2_0:
      return {i / 128 * 32 + i % 32, static_cast<int>(i % 128 / 32) * 2};
    default:
      return {i, 0};
  }
}

/// Bytes of a block in front of its numbers, and in front of its scale.
size_t numbers_offset(DType blocks) { return blocks == DType::kTQ2_0 ? 0 : sizeof(uint16_t); }
size_t scale_offset(DType blocks) { return blocks == DType::kTQ2_0 ? offsetof(BlockTQ2_0, scale) : 0; }

void write_block(const Carrier& carrier, std::span<const int8_t> codes, uint16_t scale, std::byte* out) {
  const int bits = code_bits(carrier.codes);
  const uint16_t d = carrier.negative ? static_cast<uint16_t>(scale ^ kSign) : scale;
  std::fill_n(out, block_bytes(carrier.blocks), std::byte{0});
  std::memcpy(out + scale_offset(carrier.blocks), &d, sizeof d);
  std::byte* numbers = out + numbers_offset(carrier.blocks);
  for (size_t i = 0; i < codes.size(); ++i) {
    const int number = carrier.zero + (carrier.negative ? -codes[i] : codes[i]);
    const Place place = place_in(carrier.blocks, i);
    numbers[place.byte] |= static_cast<std::byte>((number & ((1 << bits) - 1)) << place.shift);
  }
}

/// The numbers of a block, less that of zero.
void read_block(const Carrier& carrier, const std::byte* block, std::span<int> steps) {
  const int bits = code_bits(carrier.codes);
  const std::byte* numbers = block + numbers_offset(carrier.blocks);
  for (size_t i = 0; i < steps.size(); ++i) {
    const Place place = place_in(carrier.blocks, i);
    const int field = (std::to_integer<int>(numbers[place.byte]) >> place.shift) & ((1 << bits) - 1);
    steps[i] = carrier.zero == 0 ? static_cast<int8_t>(field) : field - carrier.zero;
  }
}

float scale_at(const Carrier& carrier, const std::byte* block) {
  uint16_t d;
  std::memcpy(&d, block + scale_offset(carrier.blocks), sizeof d);
  return float_from_f16(d);
}

/// Codes of the steps of one block, whose scale has this sign; false when one is out of range.
bool take_codes(std::span<const int> steps, float d, CodeRange range, std::span<int8_t> codes) {
  const int sign = d > 0.0f ? 1 : (d < 0.0f ? -1 : 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    const int code = sign * steps[i];
    if (code < range.lowest || code > range.highest) return false;
    codes[i] = static_cast<int8_t>(code);
  }
  return true;
}

/// Calls `take` with the codes of each block; see `codes_from_blocks`.
template <typename Take>
std::optional<float> visit_blocks(const Carrier& carrier, Bytes blocks, DType code_type, Take take) {
  const CodeRange range = code_range(code_bits(code_type));
  const auto stride = static_cast<size_t>(block_bytes(carrier.blocks));
  const auto length = static_cast<size_t>(block_elements(carrier.blocks));
  std::optional<float> scale;
  int steps[kLongestBlock];
  int8_t codes[kLongestBlock];
  for (size_t block = 0; block < blocks.size() / stride; ++block) {
    const std::byte* bytes = blocks.data() + block * stride;
    const float d = scale_at(carrier, bytes);
    if (!std::isfinite(d)) return std::nullopt;
    if (d != 0.0f && !scale) scale = std::fabs(d);
    if (d != 0.0f && *scale != std::fabs(d)) return std::nullopt;
    read_block(carrier, bytes, {steps, length});
    if (!take_codes({steps, length}, d, range, {codes, length})) return std::nullopt;
    take(block, std::span<const int8_t>(codes, length));
  }
  return scale.value_or(1.0f);
}

}  // namespace

std::optional<DType> block_type_of(DType codes, int64_t length) {
  for (const Carrier& carrier : kCarriers) {
    if (holds(carrier, codes) && length % block_elements(carrier.blocks) == 0) return carrier.blocks;
  }
  return std::nullopt;
}

std::optional<DType> code_type_of(DType blocks) {
  const Carrier* carrier = carrier_of(blocks);
  if (carrier == nullptr) return std::nullopt;
  return carrier->codes;
}

std::optional<uint16_t> scale_of_blocks(float scale) {
  const uint16_t stored = f16_from_float(scale);
  if ((stored & ~kSign) == 0 || !std::isfinite(float_from_f16(stored))) return std::nullopt;
  return stored;
}

void blocks_from_codes(DType code_type, Bytes codes, uint16_t scale, DType block_type, std::span<std::byte> out) {
  const Carrier& carrier = known_carrier(block_type, code_type);
  const auto length = static_cast<size_t>(block_elements(block_type));
  const size_t code_bytes = *row_bytes(code_type, length);
  const auto stride = static_cast<size_t>(block_bytes(block_type));
  CARAT_CHECK(codes.size() % code_bytes == 0 && out.size() == codes.size() / code_bytes * stride,
              "codes and blocks of as many values");
  int8_t unpacked[kLongestBlock];
  for (size_t block = 0; block < out.size() / stride; ++block) {
    const std::span<int8_t> numbers(unpacked, length);
    unpack_codes(code_type, codes.subspan(block * code_bytes, code_bytes), numbers);
    write_block(carrier, numbers, scale, out.data() + block * stride);
  }
}

void blocks_from_codes(std::span<const int8_t> codes, uint16_t scale, DType block_type, std::span<std::byte> out) {
  const Carrier* carrier = carrier_of(block_type);
  const auto length = static_cast<size_t>(block_elements(block_type));
  const auto stride = static_cast<size_t>(block_bytes(block_type));
  CARAT_CHECK(carrier != nullptr && codes.size() % length == 0 && out.size() == codes.size() / length * stride,
              "codes and blocks of as many values");
  for (size_t block = 0; block < out.size() / stride; ++block) {
    write_block(*carrier, codes.subspan(block * length, length), scale, out.data() + block * stride);
  }
}

std::optional<float> codes_of_block(DType block_type, Bytes block, std::span<int8_t> codes) {
  const Carrier* carrier = carrier_of(block_type);
  CARAT_CHECK(carrier != nullptr && block.size() == static_cast<size_t>(block_bytes(block_type)) &&
                  codes.size() == static_cast<size_t>(block_elements(block_type)),
              "a code for each value of one block");
  const float d = scale_at(*carrier, block.data());
  if (!std::isfinite(d)) return std::nullopt;
  if (d == 0.0f) {
    std::ranges::fill(codes, int8_t{0});
    return 0.0f;
  }
  int steps[kLongestBlock];
  read_block(*carrier, block.data(), {steps, codes.size()});
  const int sign = carrier->negative ? -1 : 1;
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int8_t>(sign * steps[i]);
  return static_cast<float>(sign) * d;
}

std::optional<float> codes_from_blocks(DType block_type, Bytes blocks, DType code_type, std::span<std::byte> out) {
  const size_t code_bytes = *row_bytes(code_type, static_cast<uint64_t>(block_elements(block_type)));
  CARAT_CHECK(out.size() / code_bytes == blocks.size() / static_cast<size_t>(block_bytes(block_type)),
              "codes and blocks of as many values");
  return visit_blocks(known_carrier(block_type, code_type), blocks, code_type,
                      [&](size_t block, std::span<const int8_t> codes) {
                        pack_codes(code_type, codes, out.subspan(block * code_bytes, code_bytes));
                      });
}

std::optional<float> shared_scale(DType block_type, Bytes blocks, DType code_type) {
  return visit_blocks(known_carrier(block_type, code_type), blocks, code_type, [](size_t, std::span<const int8_t>) {});
}

}  // namespace carat
