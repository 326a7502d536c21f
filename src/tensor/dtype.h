#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace carat {

/// How the numbers of a tensor are stored.
enum class DType : uint8_t { kF32, kF16, kBF16, kQ4_0 };

/// "F32", "F16", "BF16", "Q4_0".
std::string_view dtype_name(DType dtype);

/// Values that are stored together: 1, or the block length of a block format. A row holds a multiple of it.
int64_t block_elements(DType dtype);

/// Bytes of one such block.
int64_t block_bytes(DType dtype);

/// Bytes of a row of `elements` values, or nothing when that is no whole number of blocks or does not fit.
std::optional<uint64_t> row_bytes(DType dtype, uint64_t elements);

}  // namespace carat
