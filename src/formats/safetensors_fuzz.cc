#include <cstddef>
#include <cstdint>

#include "formats/safetensors.h"

// What is accepted lies inside the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const carat::Bytes bytes = std::as_bytes(std::span(data, size));
  const auto content = carat::parse_safetensors(bytes, "fuzz");
  const auto whole = carat::whole_safetensors_size(bytes, "fuzz");
  if (!content.ok()) return 0;
  CARAT_CHECK(whole.ok() && *whole == size, "a file as long as its header says");
  for (const carat::StoredTensor& tensor : content->tensors) {
    const carat::Bytes values = tensor.data;
    CARAT_CHECK(values.data() >= bytes.data() && values.data() + values.size() <= bytes.data() + bytes.size(),
                "tensor data in the file");
    CARAT_CHECK(values.size() == static_cast<uint64_t>(*carat::element_count(tensor.shape)) *
                                     *carat::stored_element_bytes(tensor.dtype),
                "all data of a tensor");
  }
  return 0;
}
