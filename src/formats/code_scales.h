#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/stored_tensor.h"

namespace carat {

/// Which signs the scales of codes may have: both where blocks of Q4_0 may have come from, as they do in folders of
/// compressed-tensors and of MLX.
enum class ScaleSigns : uint8_t { kPositive, kBoth };

/// Reads all scales of the tensor `name` and refuses, by row and group, one that is zero, not finite or of a sign that
/// it may not have. Leaves none of their pages in memory: the scales of a large table are read again when they are
/// needed.
Status check_scales(const std::string& name, const ScaleView& scales, const std::string& source,
                    ScaleSigns signs = ScaleSigns::kPositive);

/// The scale of a static quantizer, F32 or BF16 of one value; 0 says that there is no quantizer. Refuses, by name,
/// another type, several values, and a value that is negative, infinite or no number.
Result<float> static_scale(const StoredTensor& stored, const std::string& source);

/// Whether both hold the same bytes. Leaves none of their pages in memory.
bool same_mapped_bytes(Bytes a, Bytes b);

/// Whether both have the same type and shape and hold the same bytes, those of their scales too; the same with pages.
bool same_stored(const TensorView& a, const TensorView& b);

}  // namespace carat
