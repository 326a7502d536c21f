#include <algorithm>
#include <cmath>

#include "text/jinja_budgeted_text.h"
#include "text/jinja_format.h"
#include "text/jinja_text.h"
#include "text/python_float.h"

namespace carat::jinja {
namespace {

std::string hexadecimal(char32_t unit) {
  std::string text = "\\u0000";
  for (size_t i = 6; i-- > 2; unit >>= 4) text[i] = "0123456789abcdef"[unit & 15];
  return text;
}

std::string unicode_escape(char32_t character) {
  if (character < 0x10000) return hexadecimal(character);
  const char32_t offset = character - 0x10000;
  return hexadecimal(0xD800 + (offset >> 10)) + hexadecimal(0xDC00 + (offset & 0x3FF));
}

std::string json_string(std::string_view text, bool ascii_only) {
  std::string result = "\"";
  while (!text.empty()) {
    const std::string_view rest = text;
    const char32_t character = take_character(text);
    constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
    constexpr std::string_view kLetters = "\"\\nrtfb";
    const size_t found = character < 0x80 ? kEscaped.find(static_cast<char>(character)) : std::string_view::npos;
    if (found != std::string_view::npos) {
      result += {'\\', kLetters[found]};
    } else if (character < 0x20 || (ascii_only && character > 0x7F)) {
      result += unicode_escape(character);
    } else {
      result += rest.substr(0, rest.size() - text.size());
    }
  }
  return result + '"';
}

std::string json_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return python_float_text(number);
}

Error no_json(const Value& value) {
  return refused("tojson: an object of type " + std::string(type_name(value)) + " is not JSON serializable");
}

// Null, booleans and numbers.
Result<std::string> json_scalar(const Value& value) {
  if (value.none()) return std::string("null");
  if (const bool* held = value.as<bool>()) return std::string(*held ? "true" : "false");
  if (const int64_t* held = value.as<int64_t>()) return std::to_string(*held);
  if (const double* held = value.as<double>()) return json_float(*held);
  return no_json(value);
}

class JsonWriter {
 public:
  JsonWriter(const JsonLayout& layout, Budget& budget) : layout_(layout), budget_(budget) {}

  Status write(const Value& value) {
    const Level level(budget_);
    if (level.too_deep()) return too_deep();
    if (!budget_.spend(1)) return out_of_budget();
    if (const std::string* text = value.text()) return text_.append(json_string(*text, layout_.ascii_only));
    if (const Dict* dict = value.dict()) return write_dict(*dict);
    if (const Sequence* sequence = value.sequence()) return write_sequence(value, *sequence);
    CARAT_TRY(const std::string scalar, json_scalar(value));
    return text_.append(scalar);
  }

  Result<std::string> take() { return text_.take("tojson: the text is too long"); }

 private:
  Status new_line() {
    if (!layout_.indent) return success();
    CARAT_TRY_STATUS(text_.append("\n"));
    for (int i = 0; i < indentation_; ++i) CARAT_TRY_STATUS(text_.append(*layout_.indent));
    return success();
  }

  template <typename Items, typename WriteItem>
  Status write_all(const Items& items, std::string_view brackets, const WriteItem& write_item) {
    if (items.empty()) return text_.append(brackets);
    CARAT_TRY_STATUS(text_.append(brackets.substr(0, 1)));
    ++indentation_;
    bool first = true;
    for (const auto& item : items) {
      if (!first) CARAT_TRY_STATUS(text_.append(layout_.item_separator));
      first = false;
      CARAT_TRY_STATUS(new_line());
      CARAT_TRY_STATUS(write_item(item));
    }
    --indentation_;
    CARAT_TRY_STATUS(new_line());
    return text_.append(brackets.substr(1));
  }

  Status write_sequence(const Value& value, const Sequence& sequence) {
    if (sequence.kind != Sequence::Kind::kList && sequence.kind != Sequence::Kind::kTuple) return no_json(value);
    return write_all(sequence.items, "[]", [&](const Value& item) { return write(item); });
  }

  Status write_dict(const Dict& dict) {
    std::vector<std::pair<std::string, const Value*>> entries;
    for (const auto& [key, value] : dict.entries) {
      CARAT_TRY(std::string name, key.text() ? *key.text() : json_scalar(key));
      entries.emplace_back(std::move(name), &value);
    }
    if (layout_.sort_keys) std::ranges::stable_sort(entries, {}, &std::pair<std::string, const Value*>::first);
    return write_all(entries, "{}", [&](const auto& entry) -> Status {
      CARAT_TRY_STATUS(text_.append(json_string(entry.first, layout_.ascii_only)));
      CARAT_TRY_STATUS(text_.append(layout_.key_separator));
      return write(*entry.second);
    });
  }

  const JsonLayout& layout_;
  Budget& budget_;
  BudgetedText text_{budget_};
  int indentation_ = 0;
};

}  // namespace

Result<std::string> to_json(const Value& value, const JsonLayout& layout, Budget& budget) {
  JsonWriter writer(layout, budget);
  CARAT_TRY_STATUS(writer.write(value));
  return writer.take();
}

}  // namespace carat::jinja
