#include "npy_file.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace carat {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 20;

Error temporary_error() {
  return failed("a temporary file for the logits cannot be written: " + std::string(std::strerror(errno)));
}

/// Version 1.0: magic, length of the header, a Python dictionary padded so that the data begin at a multiple of 64.
std::string npy_header(int64_t rows, int64_t columns) {
  constexpr size_t kAlignment = 64;
  constexpr size_t kMagicAndLength = 10;
  std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                           std::to_string(columns) + "), }";
  const size_t unpadded = kMagicAndLength + dictionary.size() + 1;
  dictionary.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

}  // namespace

NpyFile::NpyFile(AtomicFile target, File rows, int64_t columns)
    : target_(std::move(target)), rows_(std::move(rows)), columns_(columns) {}

Result<NpyFile> NpyFile::create(const std::filesystem::path& target, int64_t columns) {
  CARAT_TRY(AtomicFile file, AtomicFile::create(target));
  File rows(std::tmpfile());
  if (!rows) return temporary_error();
  return NpyFile(std::move(file), std::move(rows), columns);
}

Status NpyFile::append(std::span<const float> row) {
  CARAT_CHECK(row.size() == static_cast<size_t>(columns_), "a row of the file's width");
  if (std::fwrite(row.data(), sizeof(float), row.size(), rows_.get()) != row.size()) return temporary_error();
  ++row_count_;
  return success();
}

Status NpyFile::finish() {
  CARAT_TRY_STATUS(target_.write(npy_header(row_count_, columns_)));
  if (std::fseek(rows_.get(), 0, SEEK_SET) != 0) return temporary_error();
  std::vector<std::byte> piece(kCopyBytes);
  while (const size_t size = std::fread(piece.data(), 1, piece.size(), rows_.get())) {
    CARAT_TRY_STATUS(target_.write(Bytes(piece.data(), size)));
  }
  if (std::ferror(rows_.get()) != 0) return temporary_error();
  return target_.commit();
}

}  // namespace carat
