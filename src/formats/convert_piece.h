#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/convert.h"
#include "formats/convert_plan.h"

namespace carat {

/// Neighbouring rows of a tensor of the input, and the row of the output that the first of them becomes.
struct Piece {
  const NamedTensor* tensor;
  int64_t first;
  int64_t count;
  int64_t output_row;

  const TensorView& view() const { return tensor->view; }
  /// The stored bytes.
  Bytes bytes() const;
};

/// Goes over tensors piece by piece and tells how far it is.
class PieceLoop {
 public:
  /// `total` weights will be counted.
  PieceLoop(uint64_t total, const ConvertProgress& progress) : total_(total), progress_(progress) {}

  /// Calls `use` for all pieces of `output`, each a few million values or one row, and gives their memory back.
  Status for_each(const Output& output, bool counts, const std::function<Status(const Piece&)>& use);

  /// Counts weights as done. An error when the conversion is to stop.
  Status count(uint64_t weights);

 private:
  uint64_t total_;
  uint64_t done_ = 0;
  const ConvertProgress& progress_;
};

/// "model.gguf: blk.0.attn_q.weight: the value in row 3, column 5", for messages. `index` counts from the piece's first
/// value.
std::string place_of_value(const Checkpoint& input, const Piece& piece, size_t index);

/// Writes the values of a piece, scales included. Refuses one that is not finite.
Status decode_piece(const Checkpoint& input, const Piece& piece, std::vector<float>& values);

/// Whether two numbers are the same, in every bit.
bool same_bits(float a, float b);

}  // namespace carat
