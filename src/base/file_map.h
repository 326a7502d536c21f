#pragma once

#include <filesystem>

#include "base/byte_source.h"
#include "base/bytes.h"
#include "base/result.h"

namespace carat {

/// A file mapped read-only into memory. The pages belong to the file: they are loaded when touched and can be
/// dropped by the system at any time. Movable; the bytes stay at their address when the map is moved.
///
/// The file stays open and can be read by position too, without its pages becoming part of the process. It is the same
/// file, whatever has taken its place under the path.
class FileMap : public ByteSource {
 public:
  /// Refuses what is no regular file; an empty file maps to no bytes.
  static Result<FileMap> open(const std::filesystem::path& path);

  FileMap(FileMap&& other) noexcept;
  FileMap& operator=(FileMap&& other) noexcept;
  ~FileMap() override;

  Bytes bytes() const { return bytes_; }
  std::string name() const override { return path_.string(); }

 private:
  FileMap(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  ssize_t read_some(uint64_t offset, std::span<std::byte> out) const override;

  std::filesystem::path path_;
  int descriptor_;  // -1 after a move
  Bytes bytes_;
};

/// Reads a small text file whole. `limit` bounds what is read: a larger file is refused.
Result<std::string> read_text_file(const std::filesystem::path& path, size_t limit);

}  // namespace carat
