#pragma once

#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace carat {

/// A start tag or an empty element of markup, with its attributes and the text up to the next tag, as they are written.
struct MarkupElement {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string text;
};

/// A strict reader of XML without declarations, comments and character data sections, but for a document type in front.
/// It takes only the five entities &amp; &lt; &gt; &quot; and &#39;, wants every attribute quoted and every element
/// closed.
class MarkupReader {
 public:
  /// The elements in the order of their start tags, or nothing when the markup is not well-formed; `fault()` then says
  /// where.
  std::optional<std::vector<MarkupElement>> read(std::string_view markup) {
    rest_ = markup;
    constexpr std::string_view kDocumentType = "<!DOCTYPE html>\n";
    if (rest_.starts_with(kDocumentType)) rest_.remove_prefix(kDocumentType.size());
    while (!rest_.empty()) {
      if (!(rest_.front() == '<' ? tag() : text())) {
        fault_ = std::string(rest_.substr(0, 60));
        return std::nullopt;
      }
    }
    if (!open_.empty()) fault_ = "not closed: " + open_.back();
    if (!open_.empty()) return std::nullopt;
    return elements_;
  }

  const std::string& fault() const { return fault_; }

 private:
  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  std::string name() {
    size_t size = 0;
    while (size < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[size])) != 0 || rest_[size] == '-')) {
      ++size;
    }
    const std::string found(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return found;
  }

  static bool is_escaped(std::string_view content) {
    for (size_t place = content.find_first_of("&<"); place != std::string_view::npos;
         place = content.find_first_of("&<", place + 1)) {
      bool known = false;
      for (const std::string_view entity : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
        known = known || content.substr(place).starts_with(entity);
      }
      if (!known) return false;
    }
    for (const char c : content) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return false;
    }
    return true;
  }

  bool text() {
    const std::string_view content = rest_.substr(0, rest_.find('<'));
    if (!is_escaped(content)) return false;
    if (open_.empty() && content.find_first_not_of('\n') != std::string_view::npos) return false;
    if (in_last_) elements_.back().text += content;
    rest_.remove_prefix(content.size());
    return true;
  }

  bool attribute(MarkupElement& element) {
    const std::string key = name();
    if (key.empty() || !take("=\"")) return false;
    const size_t size = rest_.find('"');
    if (size == std::string_view::npos || !is_escaped(rest_.substr(0, size))) return false;
    const bool is_new = element.attributes.emplace(key, rest_.substr(0, size)).second;
    rest_.remove_prefix(size + 1);
    return is_new;
  }

  bool tag() {
    if (take("</")) {
      if (open_.empty() || name() != open_.back() || !take(">")) return false;
      open_.pop_back();
      in_last_ = false;
      return true;
    }
    take("<");
    MarkupElement element = {.name = name()};
    if (element.name.empty()) return false;
    while (take(" ")) {
      if (!attribute(element)) return false;
    }
    const bool is_empty = take("/>");
    if (!is_empty && !take(">")) return false;
    in_last_ = !is_empty;
    if (!is_empty) open_.push_back(element.name);
    elements_.push_back(std::move(element));
    return true;
  }

  std::string_view rest_;
  std::vector<std::string> open_;
  std::vector<MarkupElement> elements_;
  bool in_last_ = false;  // whether the text to come is that of the last element
  std::string fault_;
};

}  // namespace carat
