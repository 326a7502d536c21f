#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace carat {

/// How the numbers of a tensor are stored. All but the first three store blocks of values (block.h, super_block.h).
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kTQ2_0,
  kQ2_0,
};

inline constexpr int kDTypes = 15;
static_assert(static_cast<int>(DType::kQ2_0) + 1 == kDTypes);

/// "F32", "Q4_0", "Q6_K": the names that ggml gives them.
std::string_view dtype_name(DType dtype);

/// Values that are stored together: 1, or the block length of a block format. A row holds a multiple of it.
int64_t block_elements(DType dtype);

/// Bytes of one such block.
int64_t block_bytes(DType dtype);

/// Bytes of a row of `elements` values, or nothing when that is no whole number of blocks or does not fit.
std::optional<uint64_t> row_bytes(DType dtype, uint64_t elements);

}  // namespace carat
