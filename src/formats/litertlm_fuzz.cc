#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "base/file_map.h"
#include "formats/litertlm_gemma4.h"
#include "formats/litertlm_tensors.h"
#include "formats/tflite.h"

namespace {

/// Scales and heads are read piece by piece, and the pages given back: the bytes have to be those of a file.
carat::FileMap map_of(const uint8_t* data, size_t size) {
  static const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("carat_litertlm_fuzz_" + std::to_string(::getpid()));
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  carat::FileMap file = carat::FileMap::open(path).value();
  std::filesystem::remove(path);
  return file;
}

}  // namespace

// Whatever the bytes are, they are read or refused, and what is accepted has the bytes of its shape.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const carat::FileMap file = map_of(data, size);
  const carat::Bytes bytes = file.bytes();
  const std::string source = "fuzz";
  (void)carat::read_tflite(bytes, "decode", source).ok();
  const auto content = carat::parse_litertlm(bytes, source);
  if (!content.ok()) return 0;
  if (const auto vocabulary = carat::vocabulary_of_litertlm(*content, source); vocabulary.ok()) {
    CARAT_CHECK(carat::check_vocabulary(*vocabulary, source).ok(), "a vocabulary that was read is valid");
  }
  const auto tensors = carat::tensors_of_litertlm(*content, source);
  if (!tensors.ok()) return 0;
  for (const auto& [name, view] : *tensors) {
    CARAT_CHECK(view.data.size() == carat::tensor_bytes(view.dtype, view.shape), "all data of a tensor");
    if (!carat::is_code_type(view.dtype)) continue;
    CARAT_CHECK(view.scales.data.size() == static_cast<size_t>(view.rows()) * sizeof(float), "all scales of a tensor");
  }
  if (const auto config = carat::config_of_litertlm(*tensors, source); config.ok()) {
    CARAT_CHECK(carat::validate(*config).ok(), "a config that was read is valid");
  }
  return 0;
}
