#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "tensor/dtype.h"

/// The same codes in another carrier: integer codes with a scale beside them, and blocks of GGUF that all have this
/// scale. No value is rounded on the way but the scale, which blocks hold in binary16.
///
///     codes          blocks            a block has            because its values are
///     I8             Q8_0              d = s,  e = q          e * d
///     I4, S4         Q4_0              d = s,  e = q + 8      (e - 8) * d
///     I2, S2         TQ2_0 or Q2_0     d = -s, e = 1 - q      (e - 1) * d: three of them on the side of d, one
///     opposite
///
/// So a value is q * float(d of s) in both, exactly; a zero of 2 bits decodes to -0. Blocks of wider numbers hold
/// narrower codes too: those of 2 bits lie in Q4_0 where only 32 of them share a scale.

namespace carat {

/// The type of block that holds codes of which `length` neighbours share a scale, the smallest one there is. Nothing
/// when `length` is no whole number of blocks of any.
std::optional<DType> block_type_of(DType codes, int64_t length);

/// The type of codes, I8, I4 or I2, as wide as the numbers of blocks of this type; nothing for types that are none of
/// the above.
std::optional<DType> code_type_of(DType blocks);

/// `scale`, finite and not zero, as blocks hold it: binary16, rounded half to even. Nothing when that is zero or
/// infinite.
std::optional<uint16_t> scale_of_blocks(float scale);

/// Writes codes as blocks whose scale is `scale`, a result of `scale_of_blocks`. `codes` are a whole number of blocks,
/// `out` has exactly their bytes.
void blocks_from_codes(DType code_type, Bytes codes, uint16_t scale, DType block_type, std::span<std::byte> out);

/// The same of codes that are not packed; `scale` may have either sign, and be 0 where all codes are.
void blocks_from_codes(std::span<const int8_t> codes, uint16_t scale, DType block_type, std::span<std::byte> out);

/// The codes of one block, and its scale with the sign that goes with them: d of Q4_0 and Q8_0, -d of the others. In a
/// block of scale zero all codes are 0. Nothing when the scale is not finite.
std::optional<float> codes_of_block(DType block_type, Bytes block, std::span<int8_t> codes);

/// The inverse: writes the codes of `blocks`, which share one scale, and returns it, positive. Blocks of scale zero
/// have codes zero and fit any scale; when all are, it is 1. Nothing when there are several scales, one is not finite,
/// or a value lies beyond the range of codes, as +8 does where a block of Q4_0 has a negative scale.
std::optional<float> codes_from_blocks(DType block_type, Bytes blocks, DType code_type, std::span<std::byte> out);

/// What codes_from_blocks returns, without the codes.
std::optional<float> shared_scale(DType block_type, Bytes blocks, DType code_type);

}  // namespace carat
