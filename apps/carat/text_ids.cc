#include "text_ids.h"

#include "base/file_map.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

constexpr size_t kTextLimit = size_t{1} << 30;

}  // namespace

Result<std::vector<int32_t>> read_ids(const std::filesystem::path& path, const Vocabulary& vocabulary) {
  CARAT_TRY(const Tokenizer tokenizer, Tokenizer::create(vocabulary));
  CARAT_TRY(const std::string text, read_text_file(path, kTextLimit));
  if (text.empty()) return wrong_usage(path.string() + ": the text is empty");
  return tokenizer.encode(text);
}

}  // namespace carat
