#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"

namespace carat {

/// A file mapped read-only into memory. The pages belong to the file: they are loaded when touched and can be
/// dropped by the system at any time. Movable; the bytes stay at their address when the map is moved.
class FileMap {
 public:
  /// Refuses what is no regular file; an empty file maps to no bytes.
  static Result<FileMap> open(const std::filesystem::path& path);

  FileMap(FileMap&& other) noexcept;
  FileMap& operator=(FileMap&& other) noexcept;
  ~FileMap();

  Bytes bytes() const { return bytes_; }

 private:
  explicit FileMap(Bytes bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

/// Reads a small text file whole. `limit` bounds what is read: a larger file is refused.
Result<std::string> read_text_file(const std::filesystem::path& path, size_t limit);

}  // namespace carat
