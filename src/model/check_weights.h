#pragma once

#include <string_view>

#include "base/result.h"
#include "formats/checkpoint.h"

namespace carat {

/// Refuses a checkpoint with a weight that is not finite, and names its tensor as the file does. Reads all tensors,
/// those whose name inside Carat begins with `suspected` first.
Status check_weights(const Checkpoint& checkpoint, std::string_view suspected);

/// The same of the tensors with one dimension alone: a few megabytes of the largest model.
Status check_vectors(const Checkpoint& checkpoint);

}  // namespace carat
