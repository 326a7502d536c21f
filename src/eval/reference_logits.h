#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file_map.h"
#include "base/file_write.h"
#include "base/result.h"
#include "eval/eval_text.h"
#include "formats/source_files.h"
#include "formats/vocabulary.h"

namespace carat {

/// The model that logits are of.
struct LogitsOrigin {
  std::string reference;       ///< as it was called
  std::string weights_sha256;  ///< see `weights_digest`; empty when nobody asked
};

/// What a file of reference logits was made of; figures may only be computed with it when all but the origin agrees.
struct LogitsHeader {
  LogitsOrigin origin;
  std::string text_sha256;        ///< see `text_digest`
  std::string vocabulary_sha256;  ///< see `vocabulary_digest`
  int64_t vocabulary = 0;         ///< logits in a row
  int64_t predictions = 0;        ///< rows
  int64_t positions = 0;          ///< of a window
  int64_t overlap = 0;            ///< of windows
};

/// Of the files with the weights of the model at `path`: the SHA-256 of the only file, of several that of the lines
/// that sha256sum prints for them.
Result<std::string> weights_digest(const std::filesystem::path& path, const DigestProgress& progress);

/// Of the ids of a text and of where its documents end.
std::string text_digest(const EvalText& text);

/// Of all pieces, and of which one is BOS.
std::string vocabulary_digest(const Vocabulary& vocabulary);

/// The logits that a reference model gave for every prediction over a text, in a file, so that it has to run only once.
///
///     "CARATLGT"   u32 version, 1   u32 length of the header   the header, a JSON object   rows
///
/// Each row is a float32 `lowest`, a float32 `step`, a checksum of 64 bits and V codes of 16 bits, little-endian; a
/// logit is lowest + step * code, so that none moves by more than (largest - smallest) / 131,070 of its row and
/// float32's rounding. Nothing of a file is believed before it has been checked.
class ReferenceLogits {
 public:
  /// Refuses what is no such file, is damaged, or has another size than its header says.
  static Result<ReferenceLogits> open(const std::filesystem::path& path);

  const LogitsHeader& header() const { return header_; }

  /// Refuses logits of another text, another division into windows or another vocabulary, and says which.
  Status check(const LogitsHeader& wanted) const;

  /// The logits of prediction `row` into `out` [V]. Fails when the file cannot be read, or the row is damaged. Threads
  /// may read at the same time. Allocates nothing.
  Status read(int64_t row, std::span<float> out) const;

 private:
  ReferenceLogits(FileMap file, LogitsHeader header, uint64_t rows)
      : file_(std::move(file)), header_(std::move(header)), rows_(rows) {}

  FileMap file_;
  LogitsHeader header_;
  uint64_t rows_;  // where they begin
};

/// Whether a file begins as reference logits do; false for what cannot be read.
bool is_reference_logits(const std::filesystem::path& path);

/// Writes a file of reference logits, which appears when it is whole.
class ReferenceLogitsWriter {
 public:
  /// Refuses to begin when the disk has not enough room, and says how much the file takes.
  static Result<ReferenceLogitsWriter> create(const std::filesystem::path& path, const LogitsHeader& header);

  /// Bytes of the file for such a header.
  static uint64_t file_bytes(const LogitsHeader& header);

  /// The next rows [T, V]; logits are finite.
  Status add(std::span<const float> logits);

  /// After all rows.
  Status commit();

 private:
  ReferenceLogitsWriter(AtomicFile file, const LogitsHeader& header) : file_(std::move(file)), header_(header) {}

  AtomicFile file_;
  LogitsHeader header_;
  int64_t rows_ = 0;
  std::vector<uint16_t> codes_;  // of one row
};

}  // namespace carat
