#pragma once

#include <vector>

#include "base/result.h"
#include "base/threads.h"
#include "formats/convert_arrange.h"
#include "formats/convert_moves.h"
#include "formats/convert_piece.h"
#include "formats/recovered_rows.h"

namespace carat {

/// Rounds values to floats that are narrower than they are: BF16 or F16. A lattice value and what it is rounded to are
/// the same weight where the lattice is found again in the rounded values and gives the very values, group by group.
class FloatRounder {
 public:
  /// With `may_move` values may become others, without it those that would are refused.
  FloatRounder(const Checkpoint& input, bool may_move, int threads)
      : input_(input), may_move_(may_move), threads_(threads) {}

  /// Rounds the values of `piece` to the lattice of `output`, a float type, in place; adds to `moves`.
  Status round(const Output& output, const Piece& piece, std::vector<float>& values, Moves& moves);

 private:
  Status round_group(const Output& output, const Piece& piece, std::vector<float>& values, size_t begin, size_t length,
                     bool has_lattice, Moves& moves);

  const Checkpoint& input_;
  bool may_move_;
  ThreadPool threads_;
  RecoveredRows found_;
  std::vector<float> rounded_;
};

}  // namespace carat
