#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file_map.h"
#include "base/sha256.h"

namespace carat {

/// The content of a file.
inline std::string bytes_of(const std::filesystem::path& file) {
  const FileMap map = FileMap::open(file).value();
  return std::string(as_text(map.bytes()));
}

/// As golden files have the digests of numbers: of their bytes in memory.
template <typename T>
std::string sha256_of(const std::vector<T>& values) {
  return sha256(as_text(std::as_bytes(std::span(values))));
}

}  // namespace carat
