#include "base/file_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace carat {

Result<FileMap> FileMap::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return refused(path.string() + ": cannot be opened: " + std::strerror(errno));
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return refused(path.string() + ": expected a regular file");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    ::close(descriptor);
    return FileMap(Bytes{});
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int map_errno = errno;
  ::close(descriptor);
  if (address == MAP_FAILED) return failed(path.string() + ": cannot be mapped: " + std::strerror(map_errno));
  return FileMap(Bytes(static_cast<const std::byte*>(address), size));
}

FileMap::FileMap(FileMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

FileMap::~FileMap() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::string> read_text_file(const std::filesystem::path& path, size_t limit) {
  CARAT_TRY(FileMap map, FileMap::open(path));
  if (map.bytes().size() > limit) {
    return refused(path.string() + ": " + std::to_string(map.bytes().size()) + " bytes, expected at most " +
                   std::to_string(limit));
  }
  return std::string(as_text(map.bytes()));
}

}  // namespace carat
