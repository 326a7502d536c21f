#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file_map.h"
#include "base/result.h"
#include "formats/named_tensor.h"
#include "tensor/tensor.h"

namespace carat {

/// A parsed .safetensors file; tensor data are views into the mapped file.
///
///     header length u64, header JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...}, data
///
/// The offsets must cover the data without hole or overlap, as the format demands. Every tensor begins at a multiple
/// of its element size, so that it can be used where it lies; the format's own library writes nothing else.
/// Types other than F32, F16 and BF16 are refused by name.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

 private:
  explicit SafetensorsFile(FileMap map) : map_(std::move(map)) {}
  FileMap map_;
  std::vector<NamedTensor> tensors_;
};

/// The parser alone, for `open` and the fuzz target; `source` names the bytes in messages.
Result<std::vector<NamedTensor>> parse_safetensors(Bytes bytes, const std::string& source);

/// The length field and header for tensors stored one after the other in this order, padded with spaces to a
/// multiple of 8 bytes. No tensor has a block type, every size fits, and wider elements come before narrower ones.
std::string safetensors_header(const std::vector<TensorSpec>& tensors);

}  // namespace carat
