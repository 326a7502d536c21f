#include "formats/check_values.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <string>

#include "formats/code_scales.h"
#include "formats/quote.h"
#include "lattice/codes.h"
#include "tensor/block.h"
#include "tensor/super_block.h"

namespace carat {
namespace {

/// First block whose value of type `T` at `offset` has all bits of `exponent` set, as infinities and NaNs have.
template <typename T>
size_t first_not_finite(Bytes bytes, size_t stride, size_t offset, T exponent) {
  const size_t blocks = bytes.size() / stride;
  for (size_t block = 0; block < blocks; ++block) {
    T bits;
    std::memcpy(&bits, bytes.data() + block * stride + offset, sizeof bits);
    if ((bits & exponent) == exponent) return block;
  }
  return blocks;
}

constexpr uint16_t kF16Exponent = 0x7c00;

/// First block of which one of the binary16 numbers at these offsets is not finite.
size_t first_bad_scale(DType dtype, Bytes bytes, std::initializer_list<size_t> offsets) {
  const auto stride = static_cast<size_t>(block_bytes(dtype));
  size_t first = bytes.size() / stride;
  for (const size_t offset : offsets) {
    first = std::min(first, first_not_finite(bytes, stride, offset, kF16Exponent));
  }
  return first;
}

size_t first_bad_block(DType dtype, Bytes bytes) {
  switch (dtype) {
    case DType::kF32:
      return first_not_finite<uint32_t>(bytes, sizeof(uint32_t), 0, 0x7f800000u);
    case DType::kBF16:
      return first_not_finite<uint16_t>(bytes, sizeof(uint16_t), 0, 0x7f80u);
    case DType::kF16:
      return first_not_finite(bytes, sizeof(uint16_t), 0, kF16Exponent);
    case DType::kQ4_0:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ4_0, scale)});
    case DType::kQ4_1:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ4_1, scale), offsetof(BlockQ4_1, minimum)});
    case DType::kQ5_0:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ5_0, scale)});
    case DType::kQ5_1:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ5_1, scale), offsetof(BlockQ5_1, minimum)});
    case DType::kQ8_0:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ8_0, scale)});
    case DType::kQ2_K:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ2_K, scale), offsetof(BlockQ2_K, minimum_scale)});
    case DType::kQ3_K:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ3_K, scale)});
    case DType::kQ4_K:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ4_K, scale), offsetof(BlockQ4_K, minimum_scale)});
    case DType::kQ5_K:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ5_K, scale), offsetof(BlockQ5_K, minimum_scale)});
    case DType::kQ6_K:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ6_K, scale)});
    case DType::kTQ2_0:
      return first_bad_scale(dtype, bytes, {offsetof(BlockTQ2_0, scale)});
    case DType::kQ2_0:
      return first_bad_scale(dtype, bytes, {offsetof(BlockQ2_0, scale)});
    case DType::kI8:
    case DType::kI4:
    case DType::kI2:
    case DType::kS4:
    case DType::kS2:
      return bytes.size();  // every code is a number
  }
  __builtin_unreachable();
}

}  // namespace

Status check_values(const NamedTensor& tensor, const std::string& source) {
  const DType dtype = tensor.view.dtype;
  if (is_code_type(dtype)) return check_scales(tensor.name, tensor.view.scales, source, ScaleSigns::kBoth);
  const size_t block = first_bad_block(dtype, tensor.view.data);
  if (block == tensor.view.data.size() / static_cast<size_t>(block_bytes(dtype))) return success();
  const std::string what = block_elements(dtype) == 1 ? "value" : "scale of block";
  return refused(source + ": " + printable(tensor.name) + ": " + what + " " + std::to_string(block) + " of " +
                 std::string(dtype_name(dtype)) + " is not finite; the file is damaged, copy or convert it again");
}

bool has_lowest_code(const TensorView& codes) {
  constexpr size_t kAtOnce = 4096;
  const int8_t lowest = static_cast<int8_t>(code_range(code_bits(codes.dtype)).lowest);
  const auto per_byte = static_cast<size_t>(block_elements(codes.dtype));
  int8_t unpacked[kAtOnce];
  for (size_t begin = 0; begin < codes.data.size(); begin += kAtOnce / per_byte) {
    const Bytes bytes = codes.data.subspan(begin, std::min(kAtOnce / per_byte, codes.data.size() - begin));
    const std::span<int8_t> some(unpacked, bytes.size() * per_byte);
    unpack_codes(codes.dtype, bytes, some);
    if (std::ranges::find(some, lowest) != some.end()) return true;
  }
  return false;
}

}  // namespace carat
