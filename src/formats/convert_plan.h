#pragma once

#include <vector>

#include "base/result.h"
#include "formats/convert.h"
#include "formats/convert_arrange.h"

namespace carat {

/// The tensors of a new checkpoint.
struct OutputPlan {
  std::vector<Output> outputs;  ///< weights, their scales beside codes aside, then static quantizers
  bool may_move = false;        ///< whether weights may be rounded
};

/// Plans them for `container`. `lattices` is the scheme that is asked for or recorded, null when each tensor stays on
/// the lattice of its own type. Reads a part of the floats to find out whether they lie on a lattice, and all vectors
/// and scales. Refuses codes that the container cannot hold, static quantizers without a scale, and weights that would
/// have to leave a lattice where `options` do not allow it, as far as that can be seen so early.
Result<OutputPlan> plan_outputs(const Checkpoint& input, Container container, const ConvertOptions& options,
                                const Scheme* lattices);

}  // namespace carat
