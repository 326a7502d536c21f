#include "formats/check_values.h"

#include <cstring>
#include <string>

#include "formats/quote.h"

namespace carat {
namespace {

/// First block whose leading value of type `T` has all bits of `exponent` set, as infinities and NaNs have.
template <typename T>
size_t first_not_finite(Bytes bytes, size_t stride, T exponent) {
  const size_t blocks = bytes.size() / stride;
  for (size_t block = 0; block < blocks; ++block) {
    T bits;
    std::memcpy(&bits, bytes.data() + block * stride, sizeof bits);
    if ((bits & exponent) == exponent) return block;
  }
  return blocks;
}

size_t first_bad_block(DType dtype, Bytes bytes) {
  const auto stride = static_cast<size_t>(block_bytes(dtype));
  switch (dtype) {
    case DType::kF32:
      return first_not_finite<uint32_t>(bytes, stride, 0x7f800000u);
    case DType::kBF16:
      return first_not_finite<uint16_t>(bytes, stride, 0x7f80u);
    case DType::kF16:
    case DType::kQ4_0:
      return first_not_finite<uint16_t>(bytes, stride, 0x7c00u);  // a block begins with its scale
  }
  __builtin_unreachable();
}

}  // namespace

Status check_values(const NamedTensor& tensor, const std::string& source) {
  const DType dtype = tensor.view.dtype;
  const size_t block = first_bad_block(dtype, tensor.view.data);
  if (block == tensor.view.data.size() / static_cast<size_t>(block_bytes(dtype))) return success();
  const std::string what = block_elements(dtype) == 1 ? "value" : "scale of block";
  return refused(source + ": " + printable(tensor.name) + ": " + what + " " + std::to_string(block) + " of " +
                 std::string(dtype_name(dtype)) + " is not finite; the file is damaged, copy or convert it again");
}

}  // namespace carat
