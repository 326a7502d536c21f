#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace carat {

/// How far weights have moved; see `Conversion`.
struct Moves {
  uint64_t weights = 0;  ///< that moved
  double largest = 0;
  double squares = 0;      ///< of the moves
  double old_squares = 0;  ///< of all weights that were added

  /// Adds weights that stay.
  void add_still(std::span<const float> values);

  /// Adds `before`, stored as a float of type `stored`, that are now `after`.
  void add(std::span<const float> before, std::span<const float> after, DType stored);

  /// Adds those of another tensor; one where nothing moved does not count.
  void add_tensor(const Moves& other);
};

/// What became of the weights of a conversion.
struct ConvertTally {
  Moves moves;
  uint64_t recovered_groups = 0;
  uint64_t rounded_groups = 0;
  uint64_t unfit_scales = 0;
  uint64_t rounded_scales = 0;
  double largest_scale_change = 0;
};

}  // namespace carat
