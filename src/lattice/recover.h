#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"

/// Finds the lattice again that stored floats lie on. Checkpoints of quantization-aware training are often published as
/// plain floats, each of them code * scale rounded to the type of the file; here the codes and the scale are found that
/// give every one of them, bit for bit. No formula for the scale is assumed, and no tolerance is used.
/// `docs/recover.md` says how.

namespace carat {

/// A lattice of one group of values that share a scale: { code * scale }, rounded to float32 as `decode_row` does, then
/// to the type of a file of floats.
struct RecoverRule {
  int bits = 4;                     ///< of a code: 2, 4 or 8
  bool lowest_code = true;          ///< whether -2^(bits - 1) may be used, or the range is symmetric
  bool negative_scales = false;     ///< whether a scale may be negative where a positive one does not do
  DType scale_type = DType::kBF16;  ///< what a scale has to fit in: BF16, F16 or F32
  DType value_type = DType::kBF16;  ///< what the file holds, rounded half to even: BF16, F16 or F32
};

enum class Recovery : uint8_t {
  kExact,       ///< the codes and the scale give every value
  kScaleUnfit,  ///< the same, but only with scales of type F32 that `scale_type` cannot hold
  kOffLattice,  ///< no codes and no float32 scale of an allowed sign give these values
};

struct RecoveredGroup {
  Recovery outcome = Recovery::kOffLattice;
  float scale = 0;       ///< of kExact and kScaleUnfit; 0 when all values are zero
  bool telling = false;  ///< whether being on a lattice would say something: see `recover_group`
};

/// Decides for one group of values and writes a code for each; `codes` is as long as `values` and holds nothing of use
/// when the outcome is kOffLattice. A value is `value_type`(float32(code * scale)); the sign of a zero does not count,
/// and a zero has code 0. Groups with a value that is not finite, or no number of `value_type`, are off every lattice.
///
/// Several lattices can hold the same values, when the codes share a factor or there are few of them. Always the same
/// one is taken, of those whose scale fits in `scale_type`: the coarsest, that is the one whose code of the largest
/// magnitude is smallest in magnitude; of the scales that it can have the one whose bits end in the most zeros, which
/// has the fewest significant bits; of several of these, which only codes of 8 bits leave, the smallest; positive where
/// both signs do. kScaleUnfit only when no lattice has a scale that fits, with the scale chosen in the same way among
/// all of F32. The work is linear in the number of values.
///
/// A group is telling when it has so many different magnitudes, zero not counted, that fewer than one in a hundred of
/// random groups with as many lie on a lattice: 2, 3 or 10 for codes of 2, 4 or 8 bits.
RecoveredGroup recover_group(const RecoverRule& rule, std::span<const float> values, std::span<int8_t> codes);

}  // namespace carat
