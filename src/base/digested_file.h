#pragma once

#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "base/file_write.h"
#include "base/result.h"
#include "base/sha256.h"

namespace carat {

/// An `AtomicFile` whose digest is known when its bytes are written.
class DigestedFile {
 public:
  static Result<DigestedFile> create(const std::filesystem::path& target);

  Status write(Bytes bytes);
  Status write(std::string_view text) { return write(as_bytes(text)); }

  /// Of the bytes as they were written first: what `overwrite` does changes nothing.
  std::string digest() const { return hash_.digest(); }

  Status overwrite(uint64_t offset, Bytes bytes) { return file_.overwrite(offset, bytes); }
  uint64_t size() const { return file_.size(); }
  Status commit() { return file_.commit(); }

 private:
  explicit DigestedFile(AtomicFile file) : file_(std::move(file)) {}

  AtomicFile file_;
  Sha256 hash_;
};

}  // namespace carat
