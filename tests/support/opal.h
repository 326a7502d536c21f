#pragma once

#include <filesystem>

#include "base/file_map.h"
#include "formats/vocabulary.h"

namespace carat::test {

/// The folder of the small model that comes with the sources.
inline std::filesystem::path opal_folder() { return std::filesystem::path(CARAT_SOURCE_DIR) / "models" / "opal"; }

/// Its vocabulary, from tokenizer.json.
inline Vocabulary opal_vocabulary() {
  const std::string text = read_text_file(opal_folder() / "tokenizer.json", kLargestTokenizerJson).value();
  return vocabulary_from_tokenizer_json(text, "tokenizer.json").value();
}

}  // namespace carat::test
