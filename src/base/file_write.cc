#include "base/file_write.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace carat {
namespace {

Error write_error(const std::filesystem::path& target, int error_number) {
  std::string message = target.string() + ": cannot be written: " + std::strerror(error_number);
  if (error_number == ENOSPC || error_number == EFBIG) message += "; free some space and run the command again";
  return failed(std::move(message));
}

}  // namespace

AtomicFile::AtomicFile(std::FILE* file, std::filesystem::path temporary, std::filesystem::path target)
    : file_(file), temporary_(std::move(temporary)), target_(std::move(target)) {}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& target) {
  std::error_code ignored;
  if (std::filesystem::is_directory(target, ignored)) {
    return wrong_usage(target.string() + ": is a folder; name a file to write");
  }
  // The name of a device or a pipe would be taken from it.
  if (std::filesystem::exists(target, ignored) && !std::filesystem::is_regular_file(target, ignored)) {
    return wrong_usage(target.string() + ": is no regular file; name another file to write");
  }
  std::string temporary = target.string() + ".tmp-XXXXXX";
  const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return write_error(target, errno);
  ::fchmod(descriptor, 0644);
  std::FILE* file = ::fdopen(descriptor, "wb");
  CARAT_CHECK(file != nullptr, "fdopen of a descriptor just created");
  return AtomicFile(file, temporary, target);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)),
      temporary_(std::move(other.temporary_)),
      target_(std::move(other.target_)),
      size_(other.size_) {}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::write(Bytes bytes) {
  if (bytes.empty()) return success();
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return write_error(target_, errno);
  size_ += bytes.size();
  return success();
}

Status AtomicFile::overwrite(uint64_t offset, Bytes bytes) {
  CARAT_CHECK(offset <= size_ && bytes.size() <= size_ - offset, "only what was written is replaced");
  if (std::fflush(file_) != 0) return write_error(target_, errno);
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(::fileno(file_), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return write_error(target_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return success();
}

Status AtomicFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) return write_error(target_, errno);
  const int close_result = std::fclose(std::exchange(file_, nullptr));
  if (close_result != 0 || ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary_.c_str());
    return write_error(target_, error_number);
  }
  return success();
}

Status write_file(const std::filesystem::path& target, std::string_view content) {
  CARAT_TRY(AtomicFile file, AtomicFile::create(target));
  CARAT_TRY_STATUS(file.write(content));
  return file.commit();
}

}  // namespace carat
