#pragma once

#include <vector>

#include "base/result.h"
#include "formats/convert_piece.h"
#include "formats/convert_plan.h"
#include "formats/tensor_stream.h"

namespace carat {

/// Writes the rows of an output that is made of tensors side by side (`Output::columns`), some rows at a time.
class ColumnJoiner {
 public:
  /// `loop` counts the weights.
  explicit ColumnJoiner(PieceLoop& loop) : loop_(loop) {}

  /// The codes, in the type of the output.
  Status codes(const Output& output, bool counts, const ByteSink& sink);

  /// Their scales [rows, tensors], in F32.
  Status scales(const Output& output, const ByteSink& sink);

 private:
  PieceLoop& loop_;
  std::vector<std::byte> rows_;  // kept so that only the first piece allocates
};

}  // namespace carat
