#include "tensor/dtype.h"

#include <iterator>

#include "base/bytes.h"
#include "tensor/block.h"
#include "tensor/super_block.h"

namespace carat {
namespace {

struct Layout {
  std::string_view name;
  int64_t elements;
  int64_t bytes;
};

template <typename Block>
constexpr Layout layout_of(std::string_view name) {
  return {name, Block::kElements, sizeof(Block)};
}

constexpr Layout kLayouts[] = {
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    layout_of<BlockQ4_0>("Q4_0"),
    layout_of<BlockQ4_1>("Q4_1"),
    layout_of<BlockQ5_0>("Q5_0"),
    layout_of<BlockQ5_1>("Q5_1"),
    layout_of<BlockQ8_0>("Q8_0"),
    layout_of<BlockQ2_K>("Q2_K"),
    layout_of<BlockQ3_K>("Q3_K"),
    layout_of<BlockQ4_K>("Q4_K"),
    layout_of<BlockQ5_K>("Q5_K"),
    layout_of<BlockQ6_K>("Q6_K"),
    layout_of<BlockTQ2_0>("TQ2_0"),
    layout_of<BlockQ2_0>("Q2_0"),
    {"I8", 1, 1},
    {"I4", 2, 1},
    {"I2", 4, 1},
    {"S4", 2, 1},
    {"S2", 4, 1},
};
static_assert(std::size(kLayouts) == kDTypes);

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
