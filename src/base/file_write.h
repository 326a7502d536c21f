#pragma once

#include <cstdio>
#include <filesystem>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace carat {

/// Writes a file that appears whole or not at all: the bytes go to a temporary file beside the target, and
/// `commit` renames it. Until then, and after any error (a full disk, say), an existing target keeps its old
/// content; the temporary file is removed.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::filesystem::path& target);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(Bytes bytes);
  Status write(std::string_view text) { return write(as_bytes(text)); }

  /// Replaces bytes that were written before, from `offset` on.
  Status overwrite(uint64_t offset, Bytes bytes);

  /// Bytes written so far.
  uint64_t size() const { return size_; }

  /// Flushes to the disk and takes the target's place.
  Status commit();

 private:
  AtomicFile(std::FILE* file, std::filesystem::path temporary, std::filesystem::path target);

  std::FILE* file_;
  std::filesystem::path temporary_;
  std::filesystem::path target_;
  uint64_t size_ = 0;
};

/// `AtomicFile` for content that is already in memory.
Status write_file(const std::filesystem::path& target, std::string_view content);

}  // namespace carat
