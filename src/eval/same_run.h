#pragma once

#include <cstdint>
#include <string>

#include "formats/checkpoint.h"

namespace carat {

enum class RunRelation : uint8_t {
  kSame,   ///< the model has the reference's weights, as they are or rounded after training
  kOther,  ///< training lies between the two, or they are models of different shapes
};

/// What a model and its reference have to do with each other.
struct RunComparison {
  RunRelation relation = RunRelation::kSame;
  std::string warning;  ///< for people, of kOther: what was found, what figures against this reference mean, and what
                        ///< reference to take instead; empty otherwise
};

/// Tells whether `reference` is what `model` was before its weights were rounded, from a sample of the weights and from
/// what both record of their origin. Reads some rows of each tensor; the sample is always the same.
RunComparison relate_runs(const Checkpoint& model, const Checkpoint& reference);

}  // namespace carat
