#include "text/jinja_filters.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/ascii.h"
#include "text/jinja_format.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

Status no_arguments(std::string_view name, const Arguments& arguments) {
  CARAT_TRY_STATUS(bind(name, {}, 0, arguments));
  return success();
}

bool flag(const std::optional<Value>& value, bool missing) { return value ? truth(*value) : missing; }

// Calls the string method of the filter's name on the text of any value.
Result<Value> text_method(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const std::string text, to_text(input, budget));
  return call_method({{std::make_shared<const std::string>(text)}, std::string(name)}, arguments, budget);
}

Result<Value> upper(const Value& input, const Arguments& arguments, Budget& budget) {
  return text_method("upper", input, arguments, budget);
}
Result<Value> lower(const Value& input, const Arguments& arguments, Budget& budget) {
  return text_method("lower", input, arguments, budget);
}
Result<Value> capitalize(const Value& input, const Arguments& arguments, Budget& budget) {
  return text_method("capitalize", input, arguments, budget);
}
Result<Value> trim(const Value& input, const Arguments& arguments, Budget& budget) {
  return text_method("strip", input, arguments, budget);
}

// A word begins behind white space and behind -({[<, unlike in `str.title`.
Result<Value> title(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(no_arguments("title", arguments));
  CARAT_TRY(const std::string text, to_text(input, budget));
  CARAT_TRY_STATUS(check_ascii("title", text));
  std::string changed = to_lower(text);
  bool begins = true;
  for (char& letter : changed) {
    if (begins) letter = to_upper(letter);
    begins =
        is_space(static_cast<unsigned char>(letter)) || std::string_view("-({[<").find(letter) != std::string::npos;
  }
  return make_text(std::move(changed), budget);
}

Result<Value> replace(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<3>("replace", {"old", "new", "count"}, 2, arguments));
  Arguments texts;
  for (size_t i = 0; i < 2; ++i) {
    CARAT_TRY(std::string text, to_text(*bound[i], budget));
    texts.positional.push_back({std::make_shared<const std::string>(std::move(text))});
  }
  if (bound[2] && !bound[2]->none()) texts.positional.push_back(*bound[2]);
  return text_method("replace", input, texts, budget);
}

Result<Value> string_filter(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(no_arguments("string", arguments));
  CARAT_TRY(std::string text, to_text(input, budget));
  return make_text(std::move(text), budget);
}

Result<Value> safe(const Value& input, const Arguments& arguments, Budget& budget) {
  return string_filter(input, arguments, budget);
}

Result<Value> escape(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(no_arguments("escape", arguments));
  CARAT_TRY(const std::string text, to_text(input, budget));
  BoundedText escaped;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        escaped.append("&amp;");
        break;
      case '<':
        escaped.append("&lt;");
        break;
      case '>':
        escaped.append("&gt;");
        break;
      case '"':
        escaped.append("&#34;");
        break;
      case '\'':
        escaped.append("&#39;");
        break;
      default:
        escaped.append({&letter, 1});
    }
  }
  if (escaped.overflowed()) return refused("escape: the text is too long");
  return make_text(escaped.take(), budget);
}

Result<std::string> indentation(const std::optional<Value>& width) {
  if (width && width->text()) return *width->text();
  CARAT_TRY(const int64_t spaces, integer_argument(width, 4));
  if (spaces > 1000) return refused("an indentation of more than 1000 spaces");
  return std::string(static_cast<size_t>(std::max<int64_t>(spaces, 0)), ' ');
}

Result<Value> indent(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<3>("indent", {"width", "first", "blank"}, 0, arguments));
  if (!input.text()) return refused("indent: a string was expected, found '" + std::string(type_name(input)) + "'");
  CARAT_TRY(const std::string margin, indentation(bound[0]));
  const std::string text = *input.text() + "\n";
  const std::vector<std::string_view> lines = split_lines(text);
  if (!budget.spend(text.size() / 16 + lines.size())) return out_of_budget();
  BoundedText indented;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) indented.append("\n");
    if (i == 0 ? flag(bound[1], false) : flag(bound[2], false) || !lines[i].empty()) indented.append(margin);
    indented.append(lines[i]);
  }
  if (indented.overflowed()) return refused("indent: the text is too long");
  return make_text(indented.take(), budget);
}

Result<Value> format(const Value& input, const Arguments& arguments, Budget& budget) {
  if (!arguments.named.empty()) return refused("format: named arguments are not supported");
  CARAT_TRY(const std::string text, to_text(input, budget));
  CARAT_TRY(const Value values, make_sequence(Sequence::Kind::kTuple, arguments.positional, budget));
  return percent_format(text, values, budget);
}

Result<Value> tojson(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound,
            bind_filter<4>("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0, arguments));
  JsonLayout layout;
  layout.ascii_only = flag(bound[0], false);
  layout.sort_keys = flag(bound[3], false);
  if (bound[1] && !bound[1]->none()) {
    CARAT_TRY(layout.indent, indentation(bound[1]));
    layout.item_separator = ",";
  }
  if (bound[2] && !bound[2]->none()) {
    const Sequence* separators = bound[2]->sequence();
    if (!separators || separators->items.size() != 2 || !separators->items[0].text() || !separators->items[1].text()) {
      return refused("tojson: separators must be a pair of strings");
    }
    layout.item_separator = *separators->items[0].text();
    layout.key_separator = *separators->items[1].text();
  }
  CARAT_TRY(std::string text, to_json(input, layout, budget));
  return make_text(std::move(text), budget);
}

Result<Value> default_filter(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<2>("default", {"default_value", "boolean"}, 0, arguments));
  if (!input.undefined() && !(flag(bound[1], false) && !truth(input))) return input;
  return bound[0] ? *bound[0] : make_text("", budget);
}

// The whole number at the front and back of `text`, as Python's int() reads it.
bool parse_integer(std::string_view text, int base, int64_t& integer) {
  text = strip(text, Ends::kBoth);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (base == 16 && (text.starts_with("0x") || text.starts_with("0X"))) text.remove_prefix(2);
  if (text.empty() || text[0] == '-') return false;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), integer, base);
  if (negative) integer = -integer;
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

bool parse_float(std::string_view text, double& number) {
  text = strip(text, Ends::kBoth);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text[0] == '-') return false;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (negative) number = -number;
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

// Whether the value is a number or a text of one.
bool read_number(const Value& value, double& number) {
  return value.text() ? parse_float(*value.text(), number) : as_number(value, number);
}

Result<Value> int_filter(const Value& input, const Arguments& arguments, Budget&) {
  CARAT_TRY(const Bound bound, bind_filter<2>("int", {"default", "base"}, 0, arguments));
  if (input.undefined()) return undefined_error(input);
  CARAT_TRY(const int64_t base, integer_argument(bound[1], 10));
  if (base < 2 || base > 36) return refused("int: the base must be between 2 and 36");
  int64_t integer = 0;
  if (const int64_t* held = as_integer(input, integer)) return Value{*held};
  if (input.text() && parse_integer(*input.text(), static_cast<int>(base), integer)) return Value{integer};
  double number = 0;
  if (!read_number(input, number) || !std::isfinite(number)) return bound[0] ? *bound[0] : Value{int64_t{0}};
  if (std::abs(number) >= 9.2e18) return refused("int: an integer of more than 64 bits");
  return Value{static_cast<int64_t>(number)};
}

Result<Value> float_filter(const Value& input, const Arguments& arguments, Budget&) {
  CARAT_TRY(const Bound bound, bind_filter<1>("float", {"default"}, 0, arguments));
  if (input.undefined()) return undefined_error(input);
  double number = 0;
  if (read_number(input, number)) return Value{number};
  return bound[0] ? *bound[0] : Value{0.0};
}

Result<Value> abs_filter(const Value& input, const Arguments& arguments, Budget&) {
  CARAT_TRY_STATUS(no_arguments("abs", arguments));
  int64_t storage = 0;
  if (const int64_t* integer = as_integer(input, storage)) return *integer < 0 ? negated(input) : Value{*integer};
  if (const double* number = input.as<double>()) return Value{std::abs(*number)};
  return input.undefined() ? undefined_error(input) : refused("abs: a number was expected");
}

// Python rounds the exact binary value, ties to even; so does printf.
double rounded(double number, int64_t precision) {
  char buffer[512];
  if (precision >= 0) {
    std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(precision), number);
    return std::strtod(buffer, nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(number / unit) * unit;
}

Result<Value> round(const Value& input, const Arguments& arguments, Budget&) {
  CARAT_TRY(const Bound bound, bind_filter<2>("round", {"precision", "method"}, 0, arguments));
  CARAT_TRY(const int64_t precision, integer_argument(bound[0], 0));
  if (precision < -20 || precision > 100) return refused("round: a precision beyond -20 to 100");
  const std::string method = bound[1] && bound[1]->text() ? *bound[1]->text() : bound[1] ? "" : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    return refused("round: the method must be common, ceil or floor");
  }
  double number = 0;
  if (!as_number(input, number)) return input.undefined() ? undefined_error(input) : refused("round: not a number");
  int64_t storage = 0;
  const int64_t* integer = as_integer(input, storage);
  if (method == "common" && integer && precision >= 0) return Value{*integer};
  if (method == "common" && integer) return Value{static_cast<int64_t>(rounded(number, precision))};
  if (!std::isfinite(number)) return input;
  if (method == "common") return Value{rounded(number, precision)};
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return Value{(method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale};
}

}  // namespace

const FilterTable& value_filters() {
  static const FilterTable filters = {
      {"abs", abs_filter},
      {"capitalize", capitalize},
      {"d", default_filter},
      {"default", default_filter},
      {"e", escape},
      {"escape", escape},
      {"float", float_filter},
      {"format", format},
      {"indent", indent},
      {"int", int_filter},
      {"lower", lower},
      {"replace", replace},
      {"round", round},
      {"safe", safe},
      {"string", string_filter},
      {"title", title},
      {"tojson", tojson},
      {"trim", trim},
      {"upper", upper},
  };
  return filters;
}

Result<Value> apply_filter(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget) {
  const Level level(budget);
  if (level.too_deep()) return too_deep();
  for (const FilterTable* table : {&value_filters(), &sequence_filters(), &selection_filters()}) {
    if (const auto found = table->find(name); found != table->end()) return found->second(input, arguments, budget);
  }
  return refused("unknown filter " + quoted(name));
}

}  // namespace carat::jinja
