#pragma once

#include <cstdint>
#include <span>

#include "tensor/super_block.h"

/// The values of the super-blocks, which Carat reads and does not write. Each is the formula that super_block.h
/// states, in float32.

namespace carat {

using SuperBlockValues = std::span<float, kSuperBlockElements>;

void decode_q2_k(const BlockQ2_K& block, SuperBlockValues values);
void decode_q3_k(const BlockQ3_K& block, SuperBlockValues values);
void decode_q4_k(const BlockQ4_K& block, SuperBlockValues values);
void decode_q5_k(const BlockQ5_K& block, SuperBlockValues values);
void decode_q6_k(const BlockQ6_K& block, SuperBlockValues values);
void decode_tq2_0(const BlockTQ2_0& block, SuperBlockValues values);

}  // namespace carat
