#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/threads.h"
#include "formats/convert_arrange.h"
#include "formats/convert_piece.h"
#include "formats/recovered_rows.h"

namespace carat {

/// The same codes in another type of their width.
void repack(DType from, Bytes source, DType to, std::span<std::byte> out);

/// Some rows as integer codes, and what has become of their values.
struct CodedRows {
  std::vector<int8_t> codes;   ///< [rows, columns]; when they were asked for
  std::vector<float> scales;   ///< [rows, groups]; 0 where all codes are 0, or 1 beside codes
  std::vector<uint8_t> still;  ///< [rows, groups]: 1 where codes * scale are the values, or the values their image
  std::vector<float> values;   ///< [rows, columns], where codes were found or made
  uint64_t recovered_groups = 0;
  uint64_t rounded_groups = 0;
  uint64_t unfit_scales = 0;
};

/// Makes the integer codes of a conversion and their scales, some rows at a time.
class CodeMaker {
 public:
  /// With `may_move` values that are not on their lattice are rounded, without it they are refused.
  CodeMaker(const Checkpoint& input, Container container, const ConvertOptions& options, bool may_move)
      : input_(input), container_(container), options_(options), may_move_(may_move), threads_(options.threads) {}

  /// The rows of `piece` as `output` has them. They live until the next call.
  Result<const CodedRows*> make(const Output& output, const Piece& piece);

  /// Their scales alone.
  Result<const std::vector<float>*> scales(const Output& output, const Piece& piece);

 private:
  Result<float> shared_scale_of(const CodePlan& plan, const Piece& piece, int64_t row, int64_t group) const;
  Status take_stored_scales(const CodePlan& plan, const Piece& piece);
  void take_codes(const CodePlan& plan, const Piece& piece);
  void take_shared_blocks(const CodePlan& plan, const Piece& piece);
  Status take_blocks(const CodePlan& plan, const Piece& piece);
  Status recover(const Output& output, const Piece& piece);
  Status take_recovered(const Output& output, const Piece& piece, size_t group);
  Status round(const Output& output, const Piece& piece);
  void round_group(const CodePlan& plan, size_t group, float known_scale);
  std::span<const float> known_scales(const Output& output, const Piece& piece) const;
  void remember_scales(const Output& output, const Piece& piece);
  void put_beside(const CodePlan& plan);
  Error off_lattice(const Output& output, const Piece& piece, size_t group) const;
  Error unfit(const Output& output, const Piece& piece, size_t group) const;
  std::string place(const Piece& piece, int64_t row) const;
  std::string place_of_group(const CodePlan& plan, const Piece& piece, size_t group) const;

  const Checkpoint& input_;
  Container container_;
  const ConvertOptions& options_;
  bool may_move_;
  ThreadPool threads_;
  CodedRows rows_;
  RecoveredRows found_;
  std::unordered_map<const Output*, std::vector<float>> searched_;  // scales, which take long to find
  size_t remembered_ = 0;                                           // of them in all
};

}  // namespace carat
