#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "lattice/scheme.h"

namespace carat {

/// A lattice that a tensor may be put on, and what that costs.
struct LatticeOption {
  DType lattice = DType::kF32;
  int64_t group = 0;   ///< of codes, as in `SchemeRule`
  uint64_t bytes = 0;  ///< of the tensor, its scales included
  double kld = 0;      ///< divergence that it causes alone, in nats; noise below 0 counts as 0
};

/// A matrix of a checkpoint and the lattices to choose from, at least one.
struct TensorOptions {
  std::string tensor;
  std::vector<LatticeOption> options;
};

/// A lattice for every matrix.
struct MixedScheme {
  Scheme scheme;             ///< named "mixed"; the last rule says what is left: F32
  uint64_t bytes = 0;        ///< of all tensors
  double predicted_kld = 0;  ///< sum of what the chosen options cause, each alone
};

/// Chooses one option for every tensor so that the sum of the divergences is small and the bytes, with `fixed_bytes` of
/// all other tensors, are within `budget`. Refuses a budget that even the smallest options exceed, and says what they
/// take. Equal inputs give equal schemes.
///
/// Options that lie above the lower convex hull of a tensor's (bytes, divergence) are set aside; beginning with the
/// smallest ones, the step along a hull that gains most for a byte comes first (the Lagrangian relaxation of the
/// multiple-choice knapsack problem). What is left of the budget is then filled with whatever option still gains most.
/// So the sum is no farther from the least possible one than what the first step gains that did not fit.
Result<MixedScheme> recommend_scheme(std::span<const TensorOptions> tensors, uint64_t fixed_bytes, uint64_t budget);

}  // namespace carat
