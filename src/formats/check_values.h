#pragma once

#include "base/result.h"
#include "formats/named_tensor.h"

namespace carat {

/// Reads a whole tensor and refuses, by its name and the number of the block, a value or a scale that is not finite. In
/// types without blocks a block is one value. Of integer codes, which are all finite, it reads the scales, and refuses
/// one that is zero too. `source` names the file in messages.
Status check_values(const NamedTensor& tensor, const std::string& source);

/// Whether any code of a tensor of codes is the lowest of its range. Codes of many weights that never are were made for
/// a range without it, by another rule than `min_max_scale`.
bool has_lowest_code(const TensorView& codes);

}  // namespace carat
