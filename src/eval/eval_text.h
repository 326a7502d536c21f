#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"

namespace carat {

/// A part of a text that is predicted on its own: nothing before it is seen.
struct EvalDocument {
  std::vector<int32_t> ids;        ///< without BOS, at least one
  std::optional<size_t> category;  ///< of `EvalText::categories`
};

/// What models are evaluated on.
struct EvalText {
  std::vector<EvalDocument> documents;
  std::vector<std::string> categories;  ///< in the order in which they first came; empty when there are none

  int64_t tokens() const;
  /// Drops all behind the first `count` ids.
  void shorten(int64_t count);
};

/// A text that is one document.
EvalText one_document(std::vector<int32_t> ids);

inline constexpr size_t kMostCategories = 64;
inline constexpr size_t kLongestCategory = 64;  ///< bytes

/// Reads a file. One whose name ends in .jsonl has a document on each line,
///
///     {"text": "int main() {", "category": "code"}
///
/// with or without a category; other members are ignored, and so are empty lines. Any other file is one document as it
/// is. Refuses, by its number, a line that is not of that form, a text that is empty, a category that does not print or
/// is too long, more categories than kMostCategories; refuses a file without any text.
Result<EvalText> read_eval_text(const std::filesystem::path& path, const Vocabulary& vocabulary);

/// A document of a .jsonl file before its ids are known.
struct TextLine {
  std::string text;
  std::string category;  ///< empty: none
};

/// The lines of a .jsonl file; `source` names it in messages.
Result<std::vector<TextLine>> parse_text_lines(std::string_view content, const std::string& source);

}  // namespace carat
