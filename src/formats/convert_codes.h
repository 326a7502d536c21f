#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/threads.h"
#include "formats/convert_piece.h"
#include "formats/convert_plan.h"

namespace carat {

/// The same codes in another type of their width.
void repack(DType from, Bytes source, DType to, std::span<std::byte> out);

/// What became of the weights of a conversion.
struct ConvertTally {
  uint64_t moved_weights = 0;
  uint64_t rounded_scales = 0;
  double largest_scale_change = 0;
};

/// Makes the integer codes of a conversion and their scales, some rows at a time. `scales` are those of all rows of an
/// output, [rows, groups].
class CodeMaker {
 public:
  CodeMaker(const Checkpoint& input, int threads) : input_(input), threads_(threads) {}

  /// Appends the scales of the rows of `piece`. Refuses those that are not positive and finite.
  Status find_scales(const Output& output, const Piece& piece, std::vector<float>& scales);

  /// The codes of `piece` in the type of its plan, or the blocks that hold them. They live until the next call. Adds to
  /// `tally` what moved.
  Result<Bytes> make(const Output& output, std::span<const float> scales, const Piece& piece, ConvertTally& tally);

 private:
  Result<float> stored_scale(const CodePlan& plan, const Piece& piece, int64_t row, int64_t group) const;
  void search_scales(int bits, size_t length, std::vector<float>& scales);
  Status make_codes(const Output& output, std::span<const float> scales, const Piece& piece);
  void recover_codes(const CodePlan& plan, const Piece& piece);
  Status make_blocks(const Output& output, std::span<const float> scales, const Piece& piece, ConvertTally& tally);
  void count_moved(const CodePlan& plan, std::span<const float> scales, std::span<const float> factors,
                   ConvertTally& tally);
  std::string place(const Piece& piece, int64_t row) const;

  const Checkpoint& input_;
  ThreadPool threads_;
  // Of one piece; kept so that only the first one allocates.
  std::vector<float> values_;  ///< of codes that are made from values
  std::vector<std::byte> codes_;
  std::vector<std::byte> blocks_;
  std::vector<float> factors_;
  std::vector<int8_t> unpacked_;
};

}  // namespace carat
