#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/threads.h"
#include "lattice/recover.h"
#include "lattice/scheme.h"
#include "tensor/tensor.h"

namespace carat {

/// Which lattice to look for in a tensor of floats, and in what its scales are to be kept.
struct TensorLattice {
  DType lattice = DType::kQ4_0;  ///< Q4_0, Q8_0, or integer codes I8, I4, I2
  int64_t group = 32;            ///< columns that share a scale; a divisor of the tensor's columns
  RecoverRule rule;
};

/// The lattice that `rule` of a scheme asks for in a tensor of `columns` columns whose values are stored as
/// `value_type`, with scales of `scale_type`, which is BF16, F16 or F32. The lowest code is always allowed. A scale may
/// be negative for Q4_0 and Q8_0, and beside codes of groups shorter than a row unless it is F16, for blocks of GGUF
/// that are made of codes have positive ones. Nothing for other lattices, for values that are not BF16, F16 or F32, and
/// where groups do not divide the columns.
std::optional<TensorLattice> tensor_lattice(const SchemeRule& rule, int64_t columns, DType value_type,
                                            DType scale_type);

/// What was found in some rows, group after group.
struct RecoveredRows {
  std::vector<RecoveredGroup> groups;  ///< [rows, groups of a row]
  std::vector<int8_t> codes;           ///< [rows, columns]
};

/// Looks for `lattice` in rows of values [rows, columns], on all threads of `threads`; the result does not depend on
/// their number. `values` are a whole number of rows.
void recover_rows(const TensorLattice& lattice, std::span<const float> values, ThreadPool& threads, RecoveredRows& out);

/// How much of a tensor lies on a lattice.
struct RecoveryCount {
  uint64_t groups = 0;
  uint64_t exact = 0;
  uint64_t scale_unfit = 0;
  uint64_t off_lattice = 0;
  uint64_t telling = 0;        ///< groups that say something, see `RecoveredGroup`
  uint64_t telling_exact = 0;  ///< of them those that are on the lattice, unfit scales included

  void add(const RecoveredGroup& group);
  void add(const RecoveryCount& other);
};

/// Whether values that are spread over so many groups were put on the lattice on purpose: at least one in a hundred of
/// the groups that say something lies on it. Of ordinary floats practically none does. False when none says anything.
bool was_quantized(const RecoveryCount& count);

/// A look at up to `most` groups of a tensor of BF16, F16 or F32, one in each of as many equal stretches of it and not
/// always in the same columns, so that little is read. Its columns are a whole number of groups.
RecoveryCount sample_recovery(const TensorView& view, const TensorLattice& lattice, int64_t most = 256);

}  // namespace carat
