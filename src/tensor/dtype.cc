#include "tensor/dtype.h"

#include "base/bytes.h"
#include "tensor/block.h"

namespace carat {
namespace {

struct Layout {
  std::string_view name;
  int64_t elements;
  int64_t bytes;
};

constexpr Layout kLayouts[] = {
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"Q4_0", kQ4_0Elements, sizeof(BlockQ4_0)},
};

const Layout& layout(DType dtype) { return kLayouts[static_cast<size_t>(dtype)]; }

}  // namespace

std::string_view dtype_name(DType dtype) { return layout(dtype).name; }
int64_t block_elements(DType dtype) { return layout(dtype).elements; }
int64_t block_bytes(DType dtype) { return layout(dtype).bytes; }

std::optional<uint64_t> row_bytes(DType dtype, uint64_t elements) {
  const auto per_block = static_cast<uint64_t>(block_elements(dtype));
  if (elements % per_block != 0) return std::nullopt;
  return checked_multiply(elements / per_block, static_cast<uint64_t>(block_bytes(dtype)));
}

}  // namespace carat
