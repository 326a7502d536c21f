#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "tensor/block.h"
#include "tensor/dtype.h"
#include "tensor/super_block.h"

namespace carat {

inline std::vector<DType> all_dtypes() {
  std::vector<DType> dtypes;
  for (int i = 0; i < kGgufDTypes; ++i) dtypes.push_back(static_cast<DType>(i));
  return dtypes;
}

/// Where the binary16 numbers lie in a block.
inline std::vector<size_t> f16_offsets(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kBF16:
    case DType::kI8:
    case DType::kI4:
    case DType::kI2:
    case DType::kS4:
    case DType::kS2:
      return {};
    case DType::kF16:
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
    case DType::kQ2_0:
      return {0};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {offsetof(BlockQ2_K, scale), offsetof(BlockQ2_K, minimum_scale)};
    case DType::kQ3_K:
      return {offsetof(BlockQ3_K, scale)};
    case DType::kQ6_K:
      return {offsetof(BlockQ6_K, scale)};
    case DType::kTQ2_0:
      return {offsetof(BlockTQ2_0, scale)};
  }
  return {};
}

/// Stored bytes of `elements` values: any codes, and any finite scales, of either sign, zeros and subnormal ones
/// among them. F32 and BF16, which have no scales, are normal numbers.
inline std::vector<std::byte> random_blocks(DType dtype, int64_t elements, Random& random) {
  std::vector<std::byte> bytes(*row_bytes(dtype, static_cast<uint64_t>(elements)));
  if (dtype == DType::kF32 || dtype == DType::kBF16) {
    const auto size = static_cast<size_t>(block_bytes(dtype));
    for (size_t i = 0; i < bytes.size(); i += size) {
      const float value = random.normal();
      std::memcpy(&bytes[i], reinterpret_cast<const std::byte*>(&value) + sizeof(value) - size, size);
    }
    return bytes;
  }
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  constexpr uint16_t kHighestExponentBit = 0x4000;
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(block_bytes(dtype))) {
    for (const size_t offset : f16_offsets(dtype)) {
      uint16_t bits;
      std::memcpy(&bits, &bytes[block + offset], sizeof(bits));
      if ((bits & 0x7c00) == 0x7c00) bits ^= kHighestExponentBit;
      std::memcpy(&bytes[block + offset], &bits, sizeof(bits));
    }
  }
  return bytes;
}

}  // namespace carat
