#include "formats/tensor_stream.h"

#include <string>

namespace carat {

Status write_tensor(DigestedFile& file, const TensorSpec& spec, const TensorProducer& producer, uint64_t alignment) {
  const uint64_t begin = file.size();
  CARAT_TRY_STATUS(producer(spec, [&file](Bytes bytes) { return file.write(bytes); }));
  CARAT_CHECK(file.size() - begin == tensor_bytes(spec.dtype, spec.shape),
              "a producer gives exactly the tensor's bytes");
  const std::string padding((alignment - file.size() % alignment) % alignment, '\0');
  return file.write(padding);
}

}  // namespace carat
