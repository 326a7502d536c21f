#include <cstddef>
#include <cstdint>
#include <string>

#include "formats/vocabulary.h"

// What is accepted must be written as a file that reads back to the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto vocabulary = carat::vocabulary_from_tokenizer_json(text, "fuzz");
  if (vocabulary.ok()) {
    const std::string written = carat::vocabulary_to_tokenizer_json(*vocabulary);
    const auto again = carat::vocabulary_from_tokenizer_json(written, "written");
    CARAT_CHECK(again.ok() && carat::vocabulary_to_tokenizer_json(*again) == written, "not read back as written");
  }
  carat::Vocabulary small;
  small.pieces = {"<bos>", "<eos>"};
  if (carat::read_generation_config(text, "fuzz", small).ok()) {
    CARAT_CHECK(carat::read_generation_config(carat::generation_config_json(small), "written", small).ok(),
                "not read back as written");
  }
  return 0;
}
