#include <cstddef>
#include <cstdint>

#include "formats/sentencepiece.h"

// Whatever the bytes are, they are read or refused.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto vocabulary = carat::vocabulary_from_sentencepiece(std::as_bytes(std::span(data, size)), "fuzz");
  if (vocabulary.ok()) {
    CARAT_CHECK(carat::check_vocabulary(*vocabulary, "fuzz").ok(), "a vocabulary that was read is valid");
  }
  return 0;
}
