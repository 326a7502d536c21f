#include <algorithm>
#include <map>

#include "base/ascii.h"
#include "text/jinja_filters.h"
#include "text/jinja_format.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

// What stands behind `is`.
namespace carat::jinja {
namespace {

using Predicate = bool (*)(const Value&);

bool is_integer(const Value& value) { return value.as<int64_t>() != nullptr; }
bool is_float(const Value& value) { return value.as<double>() != nullptr; }
bool is_boolean(const Value& value) { return value.as<bool>() != nullptr; }
bool is_number(const Value& value) { return is_integer(value) || is_float(value) || is_boolean(value); }
bool is_mapping(const Value& value) { return value.dict() != nullptr; }
bool is_sequence(const Value& value) {
  return value.text() || value.dict() || value.undefined() || (value.sequence() && value.sequence()->indexable());
}
bool is_iterable(const Value& value) { return is_sequence(value) || value.sequence() || value.as<Loop*>(); }
bool is_callable(const Value& value) {
  return value.as<Function>() || value.as<Macro>() || value.as<std::shared_ptr<const Method>>() || value.undefined() ||
         value.as<Loop*>();
}

const std::map<std::string_view, Predicate>& predicates() {
  static const std::map<std::string_view, Predicate> table = {
      {"boolean", is_boolean},
      {"callable", is_callable},
      {"defined", [](const Value& value) { return !value.undefined(); }},
      {"escaped", [](const Value&) { return false; }},
      {"false", [](const Value& value) { return is_boolean(value) && !*value.as<bool>(); }},
      {"float", is_float},
      {"integer", is_integer},
      {"iterable", is_iterable},
      {"mapping", is_mapping},
      {"none", [](const Value& value) { return value.none(); }},
      {"number", is_number},
      {"sequence", is_sequence},
      {"string", [](const Value& value) { return value.text() != nullptr; }},
      {"true", [](const Value& value) { return is_boolean(value) && *value.as<bool>(); }},
      {"undefined", [](const Value& value) { return value.undefined(); }},
  };
  return table;
}

const std::map<std::string_view, Comparison>& comparisons() {
  static const std::map<std::string_view, Comparison> table = {
      {"!=", Comparison::kNotEqual},       {"<", Comparison::kLess},
      {"<=", Comparison::kLessOrEqual},    {"==", Comparison::kEqual},
      {">", Comparison::kGreater},         {">=", Comparison::kGreaterOrEqual},
      {"eq", Comparison::kEqual},          {"equalto", Comparison::kEqual},
      {"ge", Comparison::kGreaterOrEqual}, {"greaterthan", Comparison::kGreater},
      {"gt", Comparison::kGreater},        {"in", Comparison::kIn},
      {"le", Comparison::kLessOrEqual},    {"lessthan", Comparison::kLess},
      {"lt", Comparison::kLess},           {"ne", Comparison::kNotEqual},
  };
  return table;
}

Result<bool> is_divisible(const Value& input, const Value& divisor, int64_t remainder, Budget& budget) {
  CARAT_TRY(const Value rest, apply(BinaryOperator::kModulo, input, divisor, budget));
  return equal(rest, Value{remainder}, budget);
}

// `str.islower`: a cased letter, and none of the other case.
Result<bool> has_case(const Value& input, bool upper, Budget& budget) {
  CARAT_TRY(const std::string text, to_text(input, budget));
  CARAT_TRY_STATUS(check_ascii("upper and lower case", text));
  const std::string changed = upper ? to_upper(text) : to_lower(text);
  const std::string other = upper ? to_lower(text) : to_upper(text);
  return text == changed && changed != other;
}

Status check_count(std::string_view name, size_t expected, const Arguments& arguments) {
  if (arguments.positional.size() == expected && arguments.named.empty()) return success();
  return refused("the test " + quoted(name) + " takes " + std::to_string(expected) + " arguments");
}

}  // namespace

Result<bool> apply_test(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget) {
  if (const auto found = predicates().find(name); found != predicates().end()) {
    CARAT_TRY_STATUS(check_count(name, 0, arguments));
    return found->second(input);
  }
  if (const auto found = comparisons().find(name); found != comparisons().end()) {
    CARAT_TRY_STATUS(check_count(name, 1, arguments));
    return compare(found->second, input, arguments.positional[0], budget);
  }
  if (name == "divisibleby") {
    CARAT_TRY_STATUS(check_count(name, 1, arguments));
    return is_divisible(input, arguments.positional[0], 0, budget);
  }
  if (name == "odd" || name == "even") {
    CARAT_TRY_STATUS(check_count(name, 0, arguments));
    return is_divisible(input, Value{int64_t{2}}, name == "odd" ? 1 : 0, budget);
  }
  if (name == "upper" || name == "lower") {
    CARAT_TRY_STATUS(check_count(name, 0, arguments));
    return has_case(input, name == "upper", budget);
  }
  return refused("unknown test " + quoted(name));
}

}  // namespace carat::jinja
