#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/convert_arrange.h"
#include "formats/convert_codes.h"
#include "formats/convert_moves.h"
#include "formats/convert_piece.h"

namespace carat {

/// Writes rows of codes in the type of an output: packed, in blocks of GGUF, or as the values of the codes.
class CodeStore {
 public:
  explicit CodeStore(const Checkpoint& input) : input_(input) {}

  /// The bytes live until the next call. Adds to `tally` what became of the groups and their scales, and to `moves` the
  /// weights. Refuses scales that blocks cannot hold, and values that float32
  /// cannot.
  Result<Bytes> store(const Output& output, const Piece& piece, const CodedRows& rows, ConvertTally& tally,
                      Moves& moves);

 private:
  Status round_scales(const Output& output, const Piece& piece, const CodedRows& rows, ConvertTally& tally);
  Status write(const Output& output, const Piece& piece, const CodedRows& rows);
  void count(const Output& output, const Piece& piece, const CodedRows& rows, Moves& moves);

  const Checkpoint& input_;
  std::vector<float> factors_;  // the scales, as the output has them
  std::vector<std::byte> bytes_;
  std::vector<float> before_, after_;  // of one group
};

}  // namespace carat
