#pragma once

#include "model/pass.h"

namespace carat {

/// residual += norm(branch) with branch = down(gelu(gate(z)) * up(z)) and z = norm(residual). Layers may differ in
/// width. Where there are experts they join the branch before its norm (see moe.h).
void add_ffn(const Pass& pass, size_t layer, Rows rows);

}  // namespace carat
