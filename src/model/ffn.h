#pragma once

#include "model/pass.h"

namespace carat {

/// residual += norm(down(gelu(gate(z)) * up(z))) with z = norm(residual). Layers may differ in width.
void add_ffn(const Pass& pass, size_t layer, Rows rows);

}  // namespace carat
