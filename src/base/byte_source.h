#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace carat {

/// Bytes that are read by their position from something that can fail: a file.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills `out` with the bytes from `offset` on. Fails when they are not all there or cannot be read; the message
  /// names the source, the offset, and how much was there. Threads may read at the same time. Allocates nothing but
  /// the message.
  Status read(uint64_t offset, std::span<std::byte> out) const;

  /// What is read, for messages.
  virtual std::string name() const = 0;

 protected:
  ByteSource() = default;
  ByteSource(const ByteSource&) = default;
  ByteSource& operator=(const ByteSource&) = default;

 private:
  /// Reads as `pread` does: any number of bytes up to those that fit `out`, 0 at the end, -1 with errno set.
  virtual ssize_t read_some(uint64_t offset, std::span<std::byte> out) const = 0;
};

/// Where something begins in a source, which lives longer.
struct SourcePlace {
  const ByteSource* source;
  uint64_t offset;
};

}  // namespace carat
