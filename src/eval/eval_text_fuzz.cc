#include <cstddef>
#include <cstdint>
#include <string_view>

#include "eval/eval_text.h"

// Whatever the lines are, they are documents or refused.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto lines = carat::parse_text_lines({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!lines.ok()) return 0;
  CARAT_CHECK(!lines->empty(), "a text has documents");
  for (const carat::TextLine& line : *lines) {
    CARAT_CHECK(!line.text.empty() && line.category.size() <= carat::kLongestCategory, "a document that was refused");
  }
  return 0;
}
