#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "formats/convert.h"
#include "formats/convert_arrange.h"
#include "formats/recovered_rows.h"

namespace carat {

/// Looks at the input and settles in the plans of `outputs` what depends on its values: whether codes are found or
/// made (`CodeOrigin`), the blocks that floats are the values of, the types of scales. Returns whether weights may be
/// rounded. Where they may not and a sample of the floats is not on the lattice that is asked for, or scales of stored
/// codes do not fit into blocks, it refuses.
Result<bool> survey(const Checkpoint& input, Container container, const ConvertOptions& options,
                    std::vector<Output>& outputs);

/// What is looked for in the values of `view`, a tensor that gives rows to `output`.
TensorLattice lattice_to_find(const Output& output, Container container, const TensorView& view);

/// What a user can do where weights would have to move: "; name a scheme ...".
std::string ways_out(const Checkpoint& input, const ConvertOptions& options);

}  // namespace carat
