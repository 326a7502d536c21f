#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
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

/// Bytes of an element of a safetensors type; nothing for a type that is unknown or has elements smaller than a byte.
std::optional<uint64_t> stored_element_bytes(std::string_view dtype);

/// The type of this safetensors name when it is one of single floats that Carat computes with: F32, F16, BF16.
std::optional<DType> float_type(std::string_view dtype);

/// `stored` as values, under the name that it has inside Carat. Refuses other types than those of `float_type`;
/// `source` names the folder in messages.
Result<NamedTensor> float_tensor(const StoredTensor& stored, std::string name, const std::string& source);

/// A tensor that a safetensors file is to have, and what writes its bytes.
struct StoredSpec {
  std::string name;
  std::string dtype;
  Shape shape;
  uint64_t bytes = 0;
  std::function<Status(const ByteSink&)> produce;
};

/// A tensor of floats as a folder has it, under its own name. `producer` outlives what is returned.
StoredSpec float_spec(const TensorSpec& tensor, const TensorProducer& producer);

/// What a model looks like in a HuggingFace folder. Where a tensor's name begins with `lm_head.`, config.json says that
/// the head is not tied to the embedding.
struct FolderLayout {
  std::vector<StoredSpec> tensors;
  nlohmann::ordered_json quantization_config;  ///< of config.json; null when nothing is quantized
  std::string format = "pt";                   ///< what the safetensors files say they are: "pt" or "mlx"
};

}  // namespace carat
