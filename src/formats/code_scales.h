#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "formats/stored_tensor.h"

namespace carat {

/// Reads all scales of the tensor `name` and refuses, by row and group, one that is not positive and finite. Leaves
/// none of their pages in memory: the scales of a large table are read again when they are needed.
Status check_scales(const std::string& name, const ScaleView& scales, const std::string& source);

/// The scale of a static quantizer, F32 or BF16 of one value; 0 says that there is no quantizer. Refuses, by name,
/// another type, several values, and a value that is negative, infinite or no number.
Result<float> static_scale(const StoredTensor& stored, const std::string& source);

/// Whether both hold the same bytes. Leaves none of their pages in memory.
bool same_mapped_bytes(Bytes a, Bytes b);

}  // namespace carat
