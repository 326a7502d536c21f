#include "base/byte_source.h"

#include <cerrno>
#include <cstring>

namespace carat {

Status ByteSource::read(uint64_t offset, std::span<std::byte> out) const {
  const auto failure = [&](size_t there, const std::string& problem) {
    return failed(name() + ": " + std::to_string(out.size()) + " bytes at offset " + std::to_string(offset) +
                  " could not be read: " + problem + " after " + std::to_string(there) + " of them");
  };
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = read_some(offset + done, out.subspan(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(done, std::strerror(errno));
    if (count == 0) return failure(done, "the file ends");
    done += static_cast<size_t>(count);
  }
  return success();
}

}  // namespace carat
