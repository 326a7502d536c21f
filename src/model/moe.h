#pragma once

#include "model/pass.h"

namespace carat {

/// The mixture of experts of a layer, beside its dense branch, of which both add up:
///
///     branch = norm_1(branch) + norm_2(sum over the chosen e of w_e * expert_e(norm(residual)))
///
/// The router reads the residual through a norm of its own without a weight: p = softmax(proj(norm(residual) * scale /
/// sqrt(D))) over all E experts. The experts_used largest p are chosen, of equal ones the first; w_e is p_e divided by
/// the sum of the chosen, times the expert's own scale, so that the w need not add up to 1.
///
/// Each chosen expert's weights are read once for all its tokens in the chunk. A token's experts are added in the order
/// of their index: what others are in the chunk changes no bit. Only for models with E > 0.
void add_experts(const Pass& pass, size_t layer, Rows rows);

}  // namespace carat
