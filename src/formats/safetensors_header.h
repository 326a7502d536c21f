#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace carat {

/// What a safetensors header says of one tensor; nothing is checked but that it says it in the right form.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  Shape shape;         ///< no extent is negative
  uint64_t begin = 0;  ///< counted from the first byte behind the header
  uint64_t end = 0;
};

/// Reads the JSON of a header without building a document, so that hostile JSON takes no more memory than its
/// tensors would. `__metadata__` must map strings to strings and is dropped.
Result<std::vector<SafetensorsEntry>> read_safetensors_header(std::string_view json, const std::string& source);

}  // namespace carat
