#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "formats/recovered_rows.h"
#include "lattice/scheme.h"

/// Proofs about stored weights: that two checkpoints hold the same ones, and that those of one lie on a lattice.
///
/// Tensors have their names and shapes of `expected_tensors`, whatever the container calls them and in whatever pieces
/// it has them. Rows are counted over all extents but the last, rows and columns from 0. Blocks are 32 neighbours in a
/// row, the last of a row may be shorter.

namespace carat {

/// Called after every piece, with weights; returns whether to go on.
using VerifyProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// A weight that is not the same in two checkpoints, as each stores it.
struct WeightDifference {
  int64_t row = 0;
  int64_t column = 0;
  float a = 0;
  float b = 0;
};

/// How the values of one tensor compare in two checkpoints.
///
/// A file of narrow floats (BF16, F16) holds lattice values rounded. Where one side is stored in such a type and the
/// other side is not, the other side's values are rounded to it before they are compared: the same lattice points give
/// the same numbers then. Two different narrow types are compared as they are. The sign of a zero does not count; a NaN
/// is the same as another.
struct TensorComparison {
  std::string name;
  std::string type_a, type_b;  ///< how they are stored, "BF16", "I4 group 32"; empty where the tensor is missing
  std::string problem;         ///< why no value could be compared, for people; empty when they were
  std::optional<DType> rounded_to;
  bool two_narrow_types = false;  ///< both sides are rounded, but not in the same way
  /// Whether one side has the exact scales of its codes beside blocks that hold them rounded. The exact ones are
  /// compared; to run such a file is to compute with the rounded ones.
  bool exact_scales_beside = false;
  uint64_t weights = 0;
  uint64_t equal = 0;          ///< the same number as stored
  uint64_t equal_rounded = 0;  ///< the same only after rounding to `rounded_to`
  uint64_t different = 0;
  uint64_t not_finite = 0;  ///< NaN or infinite in either
  uint64_t blocks = 0;
  uint64_t different_blocks = 0;
  double largest_difference = 0;        ///< after rounding; infinite where only one of two is finite
  double relative_rms = 0;              ///< root of sum (a - b)^2 / sum b^2 of the finite ones; after rounding
  std::vector<WeightDifference> first;  ///< the first differences, in the order of the tensor, at most 5
};

/// A static quantizer whose scale is not the same number in both; nothing where it has none.
struct ScaleDifference {
  std::string name;
  std::optional<float> a, b;
};

struct CheckpointComparison {
  std::vector<TensorComparison> tensors;    ///< those of either, in the order of the first
  uint64_t static_scales = 0;               ///< that either has
  std::vector<ScaleDifference> scales;      ///< of them, those that differ
  std::vector<std::string> contradictions;  ///< of the shape and the vocabulary's pieces, for people

  /// Whether nothing at all differs.
  bool same() const;
};

/// Compares every weight of two checkpoints, whatever their containers, a few megabytes at a time. The result does not
/// depend on `threads`. Fails for exact scales that do not fit their blocks, and when it is to stop.
Result<CheckpointComparison> compare_checkpoints(const Checkpoint& a, const Checkpoint& b, int threads,
                                                 const VerifyProgress& progress);

/// The first value of a group that is not on the lattice, or that only a scale gives that the lattice cannot have.
struct OffLattice {
  int64_t row = 0;
  int64_t column = 0;
  float value = 0;
  bool scale_unfit = false;
};

/// How one tensor lies on the lattice that a scheme asks for.
struct TensorOnLattice {
  std::string name;
  std::string type;     ///< as stored
  std::string lattice;  ///< that is asked for: "Q4_0", "I4 group 32", "I2 row", "BF16"
  uint64_t weights = 0;
  bool by_type = false;           ///< it is stored in that very type, so that there is nothing to look for
  RecoveryCount count;            ///< of groups that share a scale; of single floats, of blocks
  std::vector<OffLattice> first;  ///< of the first groups off the lattice, at most 5

  bool on_lattice() const { return by_type || count.exact == count.groups; }
};

struct LatticeReport {
  std::string scheme;                           ///< empty: the types of the checkpoint
  std::vector<TensorOnLattice> tensors;         ///< those that the scheme puts on a lattice other than F32
  uint64_t other_weights = 0;                   ///< of the other tensors, all finite
  std::vector<std::string> missing_quantizers;  ///< static ones of the scheme that the checkpoint lacks

  bool on_lattice() const;
};

/// Whether every tensor lies on the lattice of `scheme`: blocks of GGUF with scales in binary16, codes with any scale
/// in float32, narrow floats. Values that are stored otherwise are decoded and their lattice is looked for
/// (`recover_rows`). Vectors have no blocks or codes; whatever a scheme says of them, they are only asked to be finite.
/// Without a scheme every tensor of blocks or codes is asked to lie on the lattice of its own type, which it does.
///
/// Refuses a value that is not finite, and a scheme whose groups do not divide the rows. Reads all weights, a few
/// megabytes at a time; the result does not depend on `threads`.
Result<LatticeReport> check_lattice(const Checkpoint& checkpoint, const Scheme* scheme, int threads,
                                    const VerifyProgress& progress);

/// Whether any tensor is stored as blocks or codes, so that the types alone declare a lattice.
bool stores_lattice(const Checkpoint& checkpoint);

/// What a look at some groups of every float matrix found.
struct LatticeSample {
  std::string lattice;  ///< "Q4_0", "I4 row"
  std::string scheme;   ///< the built-in scheme that has it
  RecoveryCount count;

  /// Part of the groups that say something which lie on the lattice, 0 to 1.
  double share() const;
};

/// Looks for the lattices of the built-in schemes in a checkpoint of floats, the narrowest first.
std::vector<LatticeSample> sample_lattices(const Checkpoint& checkpoint);

}  // namespace carat
