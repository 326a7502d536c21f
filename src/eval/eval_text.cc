#include "eval/eval_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file_map.h"
#include "base/utf8.h"
#include "formats/json_fields.h"
#include "formats/quote.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

constexpr size_t kTextLimit = size_t{1} << 30;

Result<TextLine> parse_line(std::string_view line, const std::string& source) {
  CARAT_TRY(const nlohmann::json object, parse_json_object(line, source));
  const JsonFields fields(object, source);
  CARAT_TRY(std::string text, fields.text("text"));
  if (text.empty()) return fields.refusal("text", "is empty: nothing can be predicted");
  CARAT_TRY(std::string category, fields.text("category", ""));
  if (fields.has("category") && (category.empty() || category.size() > kLongestCategory || !is_printable(category))) {
    return fields.refusal("category", "expected 1 to " + std::to_string(kLongestCategory) +
                                          " printable ASCII characters, found " + in_quotes(category));
  }
  return TextLine{std::move(text), std::move(category)};
}

Result<size_t> category_index(std::vector<std::string>& categories, const std::string& name,
                              const std::string& source) {
  const auto found = std::ranges::find(categories, name);
  if (found != categories.end()) return static_cast<size_t>(found - categories.begin());
  if (categories.size() == kMostCategories) {
    return refused(source + ": more than " + std::to_string(kMostCategories) + " categories");
  }
  categories.push_back(name);
  return categories.size() - 1;
}

Result<EvalText> read_lines(std::string_view content, const std::string& source, const Tokenizer& tokenizer) {
  CARAT_TRY(const std::vector<TextLine> lines, parse_text_lines(content, source));
  EvalText text;
  for (const TextLine& line : lines) {
    EvalDocument document{.ids = tokenizer.encode(line.text), .category = {}};
    if (!line.category.empty()) {
      CARAT_TRY(document.category, category_index(text.categories, line.category, source));
    }
    text.documents.push_back(std::move(document));
  }
  return text;
}

}  // namespace

int64_t EvalText::tokens() const {
  int64_t count = 0;
  for (const EvalDocument& document : documents) count += static_cast<int64_t>(document.ids.size());
  return count;
}

void EvalText::shorten(int64_t count) {
  auto left = static_cast<size_t>(count);
  const auto end = std::ranges::find_if(documents, [&](EvalDocument& document) {
    document.ids.resize(std::min(document.ids.size(), left));
    left -= document.ids.size();
    return document.ids.empty();
  });
  documents.erase(end, documents.end());
}

EvalText one_document(std::vector<int32_t> ids) {
  EvalText text;
  text.documents.push_back({.ids = std::move(ids), .category = {}});
  return text;
}

Result<std::vector<TextLine>> parse_text_lines(std::string_view content, const std::string& source) {
  std::vector<TextLine> lines;
  for (size_t number = 1; !content.empty(); ++number) {
    const size_t end = std::min(content.find('\n'), content.size());
    const std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    if (trim_white_space(to_valid_utf8(line)).empty()) continue;
    CARAT_TRY(TextLine parsed, parse_line(line, source + ", line " + std::to_string(number)));
    lines.push_back(std::move(parsed));
  }
  if (lines.empty()) return wrong_usage(source + ": the text is empty");
  return lines;
}

Result<EvalText> read_eval_text(const std::filesystem::path& path, const Vocabulary& vocabulary) {
  CARAT_TRY(const Tokenizer tokenizer, Tokenizer::create(vocabulary));
  CARAT_TRY(const std::string content, read_text_file(path, kTextLimit));
  if (content.empty()) return wrong_usage(path.string() + ": the text is empty");
  if (path.extension() == ".jsonl") return read_lines(content, printable(path.string()), tokenizer);
  return one_document(tokenizer.encode(content));
}

}  // namespace carat
