#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file_map.h"
#include "base/result.h"
#include "formats/stored_tensor.h"

namespace carat {

/// A tensor of a type that `stored_element_bytes` does not know.
struct UnreadableTensor {
  std::string name;
  std::string dtype;  ///< as the file says it
};

/// The tensors of a file, in the order of its header.
struct SafetensorsContent {
  std::vector<StoredTensor> tensors;
  std::vector<UnreadableTensor> unreadable;  ///< lie inside the file; their size is not compared with their type
};

/// A parsed .safetensors file; tensor data are views into the mapped file.
///
///     header length u64, header JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...}, data
///
/// The offsets must cover the data without hole or overlap, as the format demands. Every tensor begins at a multiple
/// of its element size, so that it can be used where it lies; the format's own library writes nothing else.
/// Tensors of types whose elements are not whole bytes, or that are unknown, are only named.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  const std::vector<StoredTensor>& tensors() const { return content_.tensors; }
  const std::vector<UnreadableTensor>& unreadable() const { return content_.unreadable; }
  const FileMap& map() const { return map_; }

 private:
  explicit SafetensorsFile(FileMap map) : map_(std::move(map)) {}
  FileMap map_;
  SafetensorsContent content_;
};

/// The parser alone, for `open` and the fuzz target; `source` names the bytes in messages.
Result<SafetensorsContent> parse_safetensors(Bytes bytes, const std::string& source);

/// How many bytes the whole file has, as its header says; the data need not be there.
Result<uint64_t> whole_safetensors_size(Bytes bytes, const std::string& source);

/// The length field and header for tensors stored one after the other in this order, padded with spaces to a
/// multiple of 8 bytes. `bytes` of each are those of its type and shape, and wider elements come before narrower ones.
/// `format` is what the file says it is, see `FolderLayout`.
std::string safetensors_header(const std::vector<StoredSpec>& tensors, const std::string& format = "pt");

}  // namespace carat
