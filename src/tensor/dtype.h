#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace carat {

/// How the numbers of a tensor are stored: single floats, blocks of values with scales inside (block.h, super_block.h),
/// and integer codes, whose scales lie beside them (`ScaleView` in tensor.h).
///
///     type       byte of codes e0, e1, ...                          code is
///     I8         e0                                                 two's complement,   -128 to 127
///     I4 / S4    e1 << 4 | e0                                       stored - 8 / two's complement,   -8 to 7
///     I2 / S2    e3 << 6 | e2 << 4 | e1 << 2 | e0                   stored - 2 / two's complement,   -2 to 1
///
/// I4 and I2 are how safetensors checkpoints pack codes (transformers: integrations/gemma_quant.py), S4 and S2 how
/// LiteRT does.
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
  kI8,
  kI4,
  kI2,
  kS4,
  kS2,
};

inline constexpr int kDTypes = 20;
static_assert(static_cast<int>(DType::kS2) + 1 == kDTypes);

/// The types before this number are those of GGUF; the others are codes.
inline constexpr int kGgufDTypes = 15;
static_assert(static_cast<int>(DType::kQ2_0) + 1 == kGgufDTypes);

/// Whether the type stores integer codes without their scales.
constexpr bool is_code_type(DType dtype) { return static_cast<int>(dtype) >= kGgufDTypes; }

inline constexpr int kCodeTypes = kDTypes - kGgufDTypes;

/// The place of such a type among them: I8, I4, I2, S4, S2.
constexpr size_t code_type_index(DType dtype) { return static_cast<size_t>(dtype) - kGgufDTypes; }

/// Bits of a code of such a type: 8, 4 or 2.
constexpr int code_bits(DType dtype) {
  if (dtype == DType::kI8) return 8;
  return dtype == DType::kI4 || dtype == DType::kS4 ? 4 : 2;
}

/// "F32", "Q4_0", "Q6_K": the names that ggml gives them; "I8", "I4", "I2", "S4", "S2" for codes.
std::string_view dtype_name(DType dtype);

/// Values that are stored together: 1, the block length of a block format, or the codes in a byte. A row holds a
/// multiple of it.
int64_t block_elements(DType dtype);

/// Bytes of one such block.
int64_t block_bytes(DType dtype);

/// Bytes of a row of `elements` values, or nothing when that is no whole number of blocks or does not fit.
std::optional<uint64_t> row_bytes(DType dtype, uint64_t elements);

}  // namespace carat
