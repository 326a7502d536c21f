#include "text/jinja_format.h"

#include "text/jinja_budgeted_text.h"
#include "text/jinja_text.h"
#include "text/python_float.h"

namespace carat::jinja {
namespace {

// Whether Python's repr writes the character as it is. Beyond ASCII this names the blocks of invisible characters
// rather than all of Unicode's categories.
bool printable(char32_t character) {
  if (character < 0x20 || character == 0x7F || (character >= 0x80 && character <= 0xA0) || character == 0xAD)
    return false;
  if (character != ' ' && is_space(character)) return false;
  const bool invisible = (character >= 0x200B && character <= 0x200F) || (character >= 0x202A && character <= 0x202E) ||
                         (character >= 0x2060 && character <= 0x206F) || (character >= 0xE000 && character <= 0xF8FF) ||
                         character == 0xFEFF || (character & 0xFFFE) == 0xFFFE || character >= 0xE0000;
  return !invisible;
}

std::string hexadecimal(char32_t character, size_t digits) {
  std::string text(digits, '0');
  for (size_t i = digits; i-- > 0; character >>= 4) text[i] = "0123456789abcdef"[character & 15];
  return text;
}

std::string escaped(char32_t character) {
  switch (character) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      if (character < 0x100) return "\\x" + hexadecimal(character, 2);
      return character < 0x10000 ? "\\u" + hexadecimal(character, 4) : "\\U" + hexadecimal(character, 8);
  }
}

class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget) {}

  Status print(const Value& value) {
    const Level level(budget_);
    if (level.too_deep()) return too_deep();
    if (!budget_.spend(1)) return out_of_budget();
    if (const std::string* text = value.text()) return text_.append(quoted(*text));
    if (const Sequence* sequence = value.sequence()) return print_sequence(*sequence);
    if (const Dict* dict = value.dict())
      return print_entries(dict->entries, [&](const Value& key) { return print(key); });
    if (const auto* space = value.as<Namespace*>()) return print_namespace(**space);
    return append_scalar(value);
  }

  Result<std::string> take() { return text_.take("the text of a value is too long"); }

 private:
  Status append_scalar(const Value& value) {
    if (value.undefined()) return text_.append("Undefined");
    if (value.none()) return text_.append("None");
    if (const bool* held = value.as<bool>()) return text_.append(*held ? "True" : "False");
    if (const int64_t* held = value.as<int64_t>()) return text_.append(std::to_string(*held));
    if (const double* held = value.as<double>()) return text_.append(python_float_text(*held));
    return refused("a value of type '" + std::string(type_name(value)) + "' has no text");
  }

  Status print_items(const std::vector<Value>& items) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) CARAT_TRY_STATUS(text_.append(", "));
      CARAT_TRY_STATUS(print(items[i]));
    }
    return success();
  }

  Status print_sequence(const Sequence& sequence) {
    const bool tuple = sequence.kind == Sequence::Kind::kTuple;
    const bool view = sequence.kind == Sequence::Kind::kKeys || sequence.kind == Sequence::Kind::kValues ||
                      sequence.kind == Sequence::Kind::kItems;
    if (!tuple && !view && sequence.kind != Sequence::Kind::kList) {
      return refused("a " + std::string(type_name({std::make_shared<Sequence>(sequence)})) +
                     " cannot be printed; use the filter list");
    }
    if (view) CARAT_TRY_STATUS(text_.append(std::string(type_name({std::make_shared<Sequence>(sequence)})) + "("));
    CARAT_TRY_STATUS(text_.append(tuple ? "(" : "["));
    CARAT_TRY_STATUS(print_items(sequence.items));
    CARAT_TRY_STATUS(text_.append(tuple ? (sequence.items.size() == 1 ? ",)" : ")") : "]"));
    return view ? text_.append(")") : success();
  }

  template <typename Entries, typename PrintKey>
  Status print_entries(const Entries& entries, const PrintKey& print_key) {
    std::string_view separator = "{";
    for (const auto& [key, value] : entries) {
      CARAT_TRY_STATUS(text_.append(separator));
      CARAT_TRY_STATUS(print_key(key));
      CARAT_TRY_STATUS(text_.append(": "));
      CARAT_TRY_STATUS(print(value));
      separator = ", ";
    }
    return text_.append(entries.empty() ? "{}" : "}");
  }

  Status print_namespace(const Namespace& space) {
    CARAT_TRY_STATUS(text_.append("<Namespace "));
    const auto print_name = [&](const std::string& name) { return text_.append(quoted(name)); };
    CARAT_TRY_STATUS(print_entries(space.attributes, print_name));
    return text_.append(">");
  }

  Budget& budget_;
  BudgetedText text_{budget_};
};

}  // namespace

Result<std::string> to_text(const Value& value, Budget& budget) {
  if (const std::string* text = value.text()) return *text;
  if (value.undefined()) return std::string();
  Printer printer(budget);
  CARAT_TRY_STATUS(printer.print(value));
  return printer.take();
}

std::string quoted(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string result(1, quote);
  while (!text.empty()) {
    const std::string_view rest = text;
    const char32_t character = take_character(text);
    if (character == static_cast<char32_t>(quote) || character == '\\') result += '\\';
    if (printable(character)) {
      result += rest.substr(0, rest.size() - text.size());
    } else {
      result += escaped(character);
    }
  }
  return result + quote;
}

}  // namespace carat::jinja
