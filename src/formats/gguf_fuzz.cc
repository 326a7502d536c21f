#include <cstddef>
#include <cstdint>

#include "formats/gguf.h"
#include "formats/gguf_fields.h"
#include "formats/gguf_gemma4.h"

// Whatever the bytes are, they are read or refused.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto content = carat::parse_gguf(std::as_bytes(std::span(data, size)), "fuzz");
  const auto preview = carat::preview_gguf(std::as_bytes(std::span(data, size)), "fuzz");
  if (!content.ok()) return 0;
  CARAT_CHECK(preview.ok() && (preview->bytes <= size || content->tensors.empty()),
              "a file as long as its header says");
  const carat::GgufFields fields(content->entries, "fuzz");
  if (auto config = carat::config_from_gguf(fields, content->tensors); config.ok()) {
    CARAT_CHECK(carat::validate(*config).ok(), "a config that was read is valid");
  }
  if (auto vocabulary = carat::vocabulary_from_gguf(fields, "fuzz"); vocabulary.ok()) {
    CARAT_CHECK(carat::check_vocabulary(*vocabulary, "fuzz").ok(), "a vocabulary that was read is valid");
  }
  return 0;
}
