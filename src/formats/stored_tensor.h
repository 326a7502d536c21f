#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/named_tensor.h"
#include "formats/tensor_stream.h"

namespace carat {

/// A tensor as a safetensors file has it, before its quantization is known. The name is the file's own.
struct StoredTensor {
  std::string name;
  std::string dtype;  ///< as the file says it: "F32", "BF16", "U8", "I8", "I32", "I64", ...
  Shape shape;
  Bytes data;
};

/// A tensor that a safetensors file is to have, and what writes its bytes.
struct StoredSpec {
  std::string name;
  std::string dtype;
  Shape shape;
  uint64_t bytes = 0;
  std::function<Status(const ByteSink&)> produce;
};

/// What a quantized model looks like in a HuggingFace folder.
struct FolderLayout {
  std::vector<StoredSpec> tensors;
  nlohmann::ordered_json quantization_config;  ///< of config.json; null when nothing is quantized
};

}  // namespace carat
