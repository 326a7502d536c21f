#include <cstddef>
#include <cstdint>

#include "formats/safetensors.h"

// What is accepted lies inside the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const carat::Bytes bytes = std::as_bytes(std::span(data, size));
  const auto content = carat::parse_safetensors(bytes, "fuzz");
  if (!content.ok()) return 0;
  for (const carat::NamedTensor& tensor : content->tensors) {
    const carat::Bytes values = tensor.view.data;
    CARAT_CHECK(values.data() >= bytes.data() && values.data() + values.size() <= bytes.data() + bytes.size(),
                "tensor data in the file");
    CARAT_CHECK(values.size() == carat::tensor_bytes(tensor.view.dtype, tensor.view.shape), "all data of a tensor");
  }
  return 0;
}
