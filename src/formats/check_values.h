#pragma once

#include "base/result.h"
#include "formats/named_tensor.h"

namespace carat {

/// Reads a whole tensor and refuses, by its name and the number of the block, a value or a scale that is not finite. In
/// types without blocks a block is one value. `source` names the file in messages.
Status check_values(const NamedTensor& tensor, const std::string& source);

}  // namespace carat
