#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_map.h"
#include "base/result.h"
#include "formats/source_files.h"

namespace carat {

/// SHA-256 of one file after the other, with one count of bytes for all. A file is read by position: its pages do not
/// become part of the process.
class FileHasher {
 public:
  /// `total` are the bytes of all files, for `progress`.
  FileHasher(uint64_t total, DigestProgress progress);

  /// As `Sha256::digest` gives it. From byte `zeros_at` on, as many digits as a digest has count as '0'.
  Result<std::string> digest(const FileMap& file, std::optional<uint64_t> zeros_at = std::nullopt);

  uint64_t done() const { return done_; }

 private:
  uint64_t total_;
  uint64_t done_ = 0;
  DigestProgress progress_;
  std::vector<std::byte> piece_;
};

}  // namespace carat
