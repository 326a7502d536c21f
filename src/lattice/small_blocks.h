#pragma once

#include <span>

#include "tensor/block.h"

/// The values of the small blocks that Carat reads and does not write. Each is the formula that block.h states, in
/// float32.

namespace carat {

void decode_q4_1(const BlockQ4_1& block, std::span<float, BlockQ4_1::kElements> values);
void decode_q5_0(const BlockQ5_0& block, std::span<float, BlockQ5_0::kElements> values);
void decode_q5_1(const BlockQ5_1& block, std::span<float, BlockQ5_1::kElements> values);
void decode_q2_0(const BlockQ2_0& block, std::span<float, BlockQ2_0::kElements> values);

}  // namespace carat
