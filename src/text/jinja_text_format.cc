#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja_format.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

constexpr int kMaxWidth = 1000;

// One `%-08.3f` of a format.
struct Conversion {
  std::string flags;
  int width = 0;
  int precision = -1;
  char letter = 0;
};

Result<int> take_number(std::string_view& format) {
  int number = 0;
  const auto parsed = std::from_chars(format.data(), format.data() + format.size(), number);
  if (parsed.ptr == format.data()) return 0;
  if (parsed.ec != std::errc() || number > kMaxWidth)
    return refused("a format wider than " + std::to_string(kMaxWidth));
  format.remove_prefix(static_cast<size_t>(parsed.ptr - format.data()));
  return number;
}

// `format` begins behind the percent sign.
Result<Conversion> take_conversion(std::string_view& format) {
  Conversion conversion;
  const size_t flags = std::min(format.find_first_not_of("-+ 0"), format.size());
  conversion.flags = format.substr(0, flags);
  format.remove_prefix(flags);
  CARAT_TRY(conversion.width, take_number(format));
  if (format.starts_with('.')) {
    format.remove_prefix(1);
    CARAT_TRY(conversion.precision, take_number(format));
  }
  if (format.empty()) return refused("incomplete format");
  conversion.letter = format[0];
  format.remove_prefix(1);
  return conversion;
}

std::string padded(std::string text, const Conversion& conversion) {
  const size_t size = count_characters(text);
  const size_t missing = static_cast<size_t>(conversion.width) - std::min(size, static_cast<size_t>(conversion.width));
  const bool left = conversion.flags.find('-') != std::string::npos;
  return left ? text + std::string(missing, ' ') : std::string(missing, ' ') + text;
}

Result<std::string> integer_conversion(const Conversion& conversion, const Value& value) {
  int64_t storage = 0;
  const int64_t* integer = as_integer(value, storage);
  const double* number = value.as<double>();
  const bool truncates = number && conversion.letter != 'x' && std::abs(*number) < 9e18;
  if (!integer && !truncates) {
    return refused("%" + std::string(1, conversion.letter) + " format: a number is required, not " +
                   std::string(type_name(value)));
  }
  const long long held = integer ? *integer : static_cast<long long>(*number);
  const bool negative_hex = conversion.letter == 'x' && held < 0;
  const std::string format = "%" + conversion.flags + "*.*ll" + (conversion.letter == 'x' ? "x" : "d");
  if (negative_hex) return refused("%x format of a negative number is not supported");
  std::string text(static_cast<size_t>(std::max({conversion.width, conversion.precision, 0})) + 32, '\0');
  const int size =
      std::snprintf(text.data(), text.size(), format.c_str(), conversion.width, conversion.precision, held);
  text.resize(static_cast<size_t>(size));
  return text;
}

Result<std::string> float_conversion(const Conversion& conversion, const Value& value) {
  double number = 0;
  if (!as_number(value, number)) return refused("must be real number, not " + std::string(type_name(value)));
  const int precision = conversion.precision < 0 ? 6 : conversion.precision;
  const std::string format = "%" + conversion.flags + "*.*" + conversion.letter;
  std::string text(static_cast<size_t>(conversion.width + precision) + 400, '\0');
  const int size = std::snprintf(text.data(), text.size(), format.c_str(), conversion.width, precision, number);
  text.resize(static_cast<size_t>(size));
  return text;
}

Result<std::string> converted(const Conversion& conversion, const Value& value, Budget& budget) {
  switch (conversion.letter) {
    case 's': {
      CARAT_TRY(std::string text, to_text(value, budget));
      return padded(std::move(text), conversion);
    }
    case 'r': {
      if (value.text()) return padded(quoted(*value.text()), conversion);
      CARAT_TRY(std::string text, to_text(value, budget));
      return padded(std::move(text), conversion);
    }
    case 'd':
    case 'i':
    case 'x':
      return integer_conversion(conversion, value);
    case 'f':
    case 'e':
    case 'g':
      return float_conversion(conversion, value);
    default:
      return refused("unsupported format character '" + std::string(1, conversion.letter) + "'");
  }
}

Result<Value> finished(BoundedText& text, Budget& budget) {
  if (text.overflowed()) return refused("a formatted text is too long");
  return make_text(text.take(), budget);
}

bool takes_digits(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char letter) { return letter >= '0' && letter <= '9'; });
}

// The argument that a replacement field names: nothing (the next), a position or a keyword.
Result<Value> field_value(std::string_view name, size_t& next, const Arguments& arguments) {
  size_t position = arguments.positional.size();
  if (name.empty()) {
    position = next++;
  } else if (takes_digits(name)) {
    std::from_chars(name.data(), name.data() + name.size(), position);
  } else {
    const auto found = std::ranges::find(arguments.named, name, &std::pair<std::string, Value>::first);
    if (found != arguments.named.end()) return found->second;
    return refused("format: no argument named " + quoted(name) + "; only plain names and positions are supported");
  }
  if (position < arguments.positional.size()) return arguments.positional[position];
  return refused("format: replacement index out of range for positional arguments");
}

}  // namespace

Result<Value> percent_format(std::string_view format, const Value& values, Budget& budget) {
  const Sequence* sequence = values.sequence();
  const bool tuple = sequence && sequence->kind == Sequence::Kind::kTuple;
  const std::vector<Value> items = tuple ? sequence->items : std::vector<Value>{values};
  size_t next = 0;
  BoundedText text;
  while (!format.empty()) {
    const size_t plain = std::min(format.find('%'), format.size());
    text.append(format.substr(0, plain));
    format.remove_prefix(plain);
    if (format.empty()) break;
    format.remove_prefix(1);
    CARAT_TRY(const Conversion conversion, take_conversion(format));
    if (conversion.letter == '%') {
      text.append("%");
      continue;
    }
    if (next == items.size()) return refused("not enough arguments for format string");
    CARAT_TRY(const std::string part, converted(conversion, items[next++], budget));
    text.append(part);
    if (!budget.spend(1 + part.size() / 16)) return out_of_budget();
  }
  // Python takes whatever has elements for a mapping, and of a mapping nothing needs to be used.
  const bool mapping = values.dict() || values.undefined() || (sequence && !tuple);
  if (next < items.size() && !mapping) {
    return refused("not all arguments converted during string formatting");
  }
  return finished(text, budget);
}

Result<Value> brace_format(std::string_view format, const Arguments& arguments, Budget& budget) {
  size_t next = 0;
  BoundedText text;
  while (!format.empty()) {
    const size_t plain = std::min(format.find_first_of("{}"), format.size());
    text.append(format.substr(0, plain));
    format.remove_prefix(plain);
    if (format.empty()) break;
    if (format.starts_with("{{") || format.starts_with("}}")) {
      text.append(format.substr(0, 1));
      format.remove_prefix(2);
      continue;
    }
    const size_t close = format.find('}');
    if (close == 0 || close == std::string_view::npos) return refused("format: a single brace; write it twice");
    CARAT_TRY(const Value value, field_value(format.substr(1, close - 1), next, arguments));
    CARAT_TRY(const std::string part, to_text(value, budget));
    text.append(part);
    format.remove_prefix(close + 1);
    if (!budget.spend(1 + part.size() / 16)) return out_of_budget();
  }
  return finished(text, budget);
}

}  // namespace carat::jinja
