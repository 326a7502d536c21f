#include "base/file_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace carat {

Result<FileMap> FileMap::open(const std::filesystem::path& path) {
  FileMap map(path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (map.descriptor_ < 0) return refused(path.string() + ": cannot be opened: " + std::strerror(errno));
  struct stat status {};
  if (::fstat(map.descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    return refused(path.string() + ": expected a regular file");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return map;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, map.descriptor_, 0);
  if (address == MAP_FAILED) return failed(path.string() + ": cannot be mapped: " + std::strerror(errno));
  map.bytes_ = Bytes(static_cast<const std::byte*>(address), size);
  return map;
}

FileMap::FileMap(FileMap&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(std::exchange(other.bytes_, {})) {}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

FileMap::~FileMap() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (descriptor_ >= 0) ::close(descriptor_);
}

ssize_t FileMap::read_some(uint64_t offset, std::span<std::byte> out) const {
  return ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
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
