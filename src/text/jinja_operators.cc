#include "text/jinja_operators.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_format.h"
#include "text/jinja_methods.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

std::string_view symbol(BinaryOperator op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

Error no_such_operation(std::string_view symbol, const Value& left, const Value& right) {
  if (left.undefined()) return undefined_error(left);
  if (right.undefined()) return undefined_error(right);
  return refused("unsupported operand types for " + std::string(symbol) + ": '" + std::string(type_name(left)) +
                 "' and '" + std::string(type_name(right)) + "'");
}

Error too_large() { return refused("an integer of more than 64 bits"); }

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return refused("0 cannot be raised to a negative power");
    return Value{std::pow(static_cast<double>(base), static_cast<double>(exponent))};
  }
  int64_t power = 1;
  const bool trivial = base >= -1 && base <= 1;
  for (int64_t left = trivial ? exponent % 2 + 2 * (exponent > 1) : exponent; left > 0; --left) {
    if (__builtin_mul_overflow(power, base, &power)) return too_large();
  }
  return Value{power};
}

Result<Value> integer_quotient(BinaryOperator op, int64_t left, int64_t right) {
  if (right == 0) return refused("division by zero");
  if (op == BinaryOperator::kDivide) return Value{static_cast<double>(left) / static_cast<double>(right)};
  if (right == -1 && left == INT64_MIN)
    return op == BinaryOperator::kModulo ? Result<Value>(Value{int64_t{0}}) : too_large();
  const int64_t remainder = left % right;
  const bool rounded_up = remainder != 0 && (remainder < 0) != (right < 0);
  if (op == BinaryOperator::kModulo) return Value{rounded_up ? remainder + right : remainder};
  return Value{left / right - (rounded_up ? 1 : 0)};
}

Result<Value> integer_operation(BinaryOperator op, int64_t left, int64_t right) {
  int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(left, right, &result)) return too_large();
      return Value{result};
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(left, right, &result)) return too_large();
      return Value{result};
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(left, right, &result)) return too_large();
      return Value{result};
    case BinaryOperator::kPower:
      return integer_power(left, right);
    default:
      return integer_quotient(op, left, right);
  }
}

// Python's float remainder has the sign of the divisor, and its floor quotient belongs to that remainder.
Result<Value> float_quotient(BinaryOperator op, double left, double right) {
  if (right == 0) return refused("float division by zero");
  if (op == BinaryOperator::kDivide) return Value{left / right};
  double remainder = std::fmod(left, right);
  double quotient = (left - remainder) / right;
  if (remainder == 0) {
    remainder = std::copysign(0.0, right);
  } else if ((remainder < 0) != (right < 0)) {
    remainder += right;
    quotient -= 1;
  }
  if (op == BinaryOperator::kModulo) return Value{remainder};
  if (quotient == 0) return Value{std::copysign(0.0, left / right)};
  const double whole = std::floor(quotient);
  return Value{quotient - whole > 0.5 ? whole + 1 : whole};
}

Result<Value> float_operation(BinaryOperator op, double left, double right) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value{left + right};
    case BinaryOperator::kSubtract:
      return Value{left - right};
    case BinaryOperator::kMultiply:
      return Value{left * right};
    case BinaryOperator::kPower: {
      const double power = std::pow(left, right);
      if (std::isfinite(left) && std::isfinite(right) && !std::isfinite(power)) {
        return refused("the result of ** is no finite number");
      }
      return Value{power};
    }
    default:
      return float_quotient(op, left, right);
  }
}

Result<Value> repeated(const Value& value, int64_t count, Budget& budget) {
  const size_t times = static_cast<size_t>(std::max<int64_t>(count, 0));
  if (const std::string* text = value.text()) {
    if (!text->empty() && times > kMaxTextBytes / text->size()) {
      return refused("a text repeated " + std::to_string(count) + " times is too long");
    }
    std::string result;
    if (!text->empty()) {
      for (size_t i = 0; i < times; ++i) result += *text;
    }
    return make_text(std::move(result), budget);
  }
  const Sequence& sequence = *value.sequence();
  if (!sequence.items.empty() && times > kMaxItems / sequence.items.size()) {
    return refused("a list repeated " + std::to_string(count) + " times is too long");
  }
  std::vector<Value> items;
  for (size_t i = 0; i < times && !sequence.items.empty(); ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return make_sequence(sequence.kind, std::move(items), budget);
}

bool list_or_tuple(const Value& value) {
  const Sequence* sequence = value.sequence();
  return sequence && (sequence->kind == Sequence::Kind::kList || sequence->kind == Sequence::Kind::kTuple);
}

bool repeatable(const Value& value) { return value.text() || list_or_tuple(value); }

bool same_lists(const Value& left, const Value& right) {
  return list_or_tuple(left) && list_or_tuple(right) && left.sequence()->kind == right.sequence()->kind;
}

bool equal_sequences(const Sequence& left, const Sequence& right, Budget& budget) {
  if (&left == &right) return true;
  if (left.kind != right.kind || !left.indexable() || left.items.size() != right.items.size()) return false;
  return std::ranges::equal(left.items, right.items,
                            [&](const Value& a, const Value& b) { return equal(a, b, budget); });
}

bool equal_dicts(const Dict& left, const Dict& right, Budget& budget) {
  if (&left == &right) return true;
  if (left.entries.size() != right.entries.size()) return false;
  return std::ranges::all_of(left.entries, [&](const auto& entry) {
    const Value* other = find_entry(right, entry.first, budget);
    return other && equal(entry.second, *other, budget);
  });
}

bool equal_numbers(const Value& left, const Value& right) {
  int64_t storage_a = 0;
  int64_t storage_b = 0;
  const int64_t* a = as_integer(left, storage_a);
  const int64_t* b = as_integer(right, storage_b);
  if (a && b) return *a == *b;
  double x = 0;
  double y = 0;
  return as_number(left, x) && as_number(right, y) && x == y;
}

// Whether both have the same held object, for the types that Python compares by identity.
bool identical(const Value& left, const Value& right) {
  if (left.held.index() != right.held.index()) return false;
  if (left.as<Namespace*>()) return *left.as<Namespace*>() == *right.as<Namespace*>();
  if (left.as<Loop*>()) return *left.as<Loop*>() == *right.as<Loop*>();
  if (left.as<Macro>()) return left.as<Macro>()->definition == right.as<Macro>()->definition;
  if (left.as<Function>()) return *left.as<Function>() == *right.as<Function>();
  return left.undefined() || left.none();
}

Result<bool> less_sequences(const Sequence& left, const Sequence& right, Budget& budget) {
  const size_t common = std::min(left.items.size(), right.items.size());
  for (size_t i = 0; i < common; ++i) {
    if (!equal(left.items[i], right.items[i], budget)) return less(left.items[i], right.items[i], budget);
  }
  return left.items.size() < right.items.size();
}

Result<Value> missing_attribute(const Value& object, std::string_view name) {
  return undefined("'" + std::string(type_name(object)) + " object' has no attribute " + quoted(name));
}

Result<Value> element_at(const Value& object, int64_t index, Budget& budget) {
  CARAT_TRY(const int64_t size, length(object));
  if (index < 0) index += size;
  if (index < 0 || index >= size) return undefined(std::string(type_name(object)) + " object has no element");
  if (const Sequence* sequence = object.sequence()) return sequence->items[static_cast<size_t>(index)];
  if (!budget.spend(object.text()->size() / 16)) return out_of_budget();
  return make_text(std::string(split_characters(*object.text())[static_cast<size_t>(index)]), budget);
}

// Methods that would change their value; the sandbox hides them.
bool changes_its_value(const Value& object, std::string_view name) {
  constexpr std::string_view kOfLists[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
  constexpr std::string_view kOfDicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.dict()) return std::ranges::count(kOfDicts, name) > 0;
  return object.sequence() && object.sequence()->kind == Sequence::Kind::kList &&
         std::ranges::count(kOfLists, name) > 0;
}

// Undefined if there is no such method.
Result<Value> method(const Value& object, const std::string& name) {
  if (changes_its_value(object, name) || name.starts_with("__")) {
    return undefined("access to attribute " + quoted(name) + " of '" + std::string(type_name(object)) +
                     "' object is unsafe");
  }
  if (const auto* space = object.as<Namespace*>()) {
    if (const Value* value = find_attribute(**space, name)) return *value;
  }
  if (has_method(object, name)) return Value{std::make_shared<const Method>(Method{object, name})};
  if (const auto* loop = object.as<Loop*>()) return loop_attribute(**loop, name);
  return missing_attribute(object, name);
}

struct SliceRange {
  int64_t start;
  int64_t step;
  int64_t count;
};

Result<int64_t> slice_index(const Value& value, int64_t missing) {
  int64_t storage = 0;
  if (value.none()) return missing;
  if (const int64_t* index = as_integer(value, storage)) return *index;
  return refused("slice indices must be integers or None");
}

Result<SliceRange> slice_range(int64_t size, const Value& start, const Value& stop, const Value& step) {
  CARAT_TRY(int64_t stride, slice_index(step, 1));
  if (stride == 0) return refused("slice step cannot be zero");
  stride = std::clamp<int64_t>(stride, -INT64_MAX, INT64_MAX);
  const int64_t lowest = stride < 0 ? -1 : 0;
  const int64_t highest = stride < 0 ? size - 1 : size;
  const auto clamped = [&](int64_t index) { return std::clamp(index < 0 ? index + size : index, lowest, highest); };
  CARAT_TRY(int64_t from, slice_index(start, stride < 0 ? INT64_MAX : 0));
  CARAT_TRY(int64_t to, slice_index(stop, stride < 0 ? INT64_MIN : INT64_MAX));
  from = clamped(from);
  to = clamped(to);
  const int64_t distance = stride < 0 ? from - to : to - from;
  const int64_t width = stride < 0 ? -stride : stride;
  return SliceRange{from, stride, distance <= 0 ? 0 : (distance - 1) / width + 1};
}

}  // namespace

Error undefined_error(const Value& value) {
  const Undefined* held = value.as<Undefined>();
  return refused(held->reason ? *held->reason : "the value is undefined");
}

const int64_t* as_integer(const Value& value, int64_t& storage) {
  if (const bool* held = value.as<bool>()) {
    storage = *held ? 1 : 0;
    return &storage;
  }
  return value.as<int64_t>();
}

bool as_number(const Value& value, double& number) {
  int64_t storage = 0;
  if (const int64_t* integer = as_integer(value, storage)) {
    number = static_cast<double>(*integer);
    return true;
  }
  if (const double* held = value.as<double>()) number = *held;
  return value.as<double>() != nullptr;
}

bool spend_search(std::string_view text, std::string_view pattern, Budget& budget) {
  return budget.spend(1 + text.size() / 16 + text.size() * pattern.size() / 256);
}

Result<Value> apply(BinaryOperator op, const Value& left, const Value& right, Budget& budget) {
  int64_t storage_a = 0;
  int64_t storage_b = 0;
  const int64_t* a = as_integer(left, storage_a);
  const int64_t* b = as_integer(right, storage_b);
  if (a && b) return integer_operation(op, *a, *b);
  double x = 0;
  double y = 0;
  if (as_number(left, x) && as_number(right, y)) return float_operation(op, x, y);
  if (op == BinaryOperator::kModulo && left.text()) return percent_format(*left.text(), right, budget);
  if (op == BinaryOperator::kMultiply && b && repeatable(left)) return repeated(left, *b, budget);
  if (op == BinaryOperator::kMultiply && a && repeatable(right)) return repeated(right, *a, budget);
  if (op == BinaryOperator::kAdd && left.text() && right.text()) return make_text(*left.text() + *right.text(), budget);
  if (op == BinaryOperator::kAdd && same_lists(left, right)) {
    std::vector<Value> items = left.sequence()->items;
    items.insert(items.end(), right.sequence()->items.begin(), right.sequence()->items.end());
    return make_sequence(left.sequence()->kind, std::move(items), budget);
  }
  return no_such_operation(symbol(op), left, right);
}

Result<Value> negated(const Value& value) {
  if (const double* held = value.as<double>()) return Value{-*held};
  int64_t storage = 0;
  const int64_t* integer = as_integer(value, storage);
  if (integer && *integer == INT64_MIN) return too_large();
  if (integer) return Value{-*integer};
  return value.undefined() ? undefined_error(value)
                           : refused("bad operand type for unary -: '" + std::string(type_name(value)) + "'");
}

Result<Value> unary_plus(const Value& value) {
  int64_t storage = 0;
  if (const int64_t* integer = as_integer(value, storage)) return Value{*integer};
  if (value.as<double>()) return value;
  return value.undefined() ? undefined_error(value)
                           : refused("bad operand type for unary +: '" + std::string(type_name(value)) + "'");
}

bool equal(const Value& left, const Value& right, Budget& budget) {
  if (!budget.spend(1)) return false;
  if (left.text() && right.text()) return *left.text() == *right.text();
  if (left.sequence() && right.sequence()) return equal_sequences(*left.sequence(), *right.sequence(), budget);
  if (left.dict() && right.dict()) return equal_dicts(*left.dict(), *right.dict(), budget);
  return identical(left, right) || equal_numbers(left, right);
}

Result<bool> less(const Value& left, const Value& right, Budget& budget) {
  if (!budget.spend(1)) return out_of_budget();
  int64_t storage_a = 0;
  int64_t storage_b = 0;
  const int64_t* a = as_integer(left, storage_a);
  const int64_t* b = as_integer(right, storage_b);
  if (a && b) return *a < *b;
  double x = 0;
  double y = 0;
  if (as_number(left, x) && as_number(right, y)) return x < y;
  // The order of UTF-8 bytes is the order of code points.
  if (left.text() && right.text()) return *left.text() < *right.text();
  if (same_lists(left, right)) return less_sequences(*left.sequence(), *right.sequence(), budget);
  return no_such_operation("<", left, right);
}

Result<bool> contains(const Value& container, const Value& item, Budget& budget) {
  if (const std::string* text = container.text()) {
    const std::string* part = item.text();
    if (!part)
      return item.undefined() ? undefined_error(item) : refused("'in <string>' requires a string as left operand");
    if (!spend_search(*text, *part, budget)) return out_of_budget();
    return text->find(*part) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    Dict hashable;
    CARAT_TRY_STATUS(set_entry(hashable, item, Value{}, budget));
    return find_entry(*dict, item, budget) != nullptr;
  }
  CARAT_TRY(const std::vector<Value> items, elements(container, budget));
  const bool found = std::ranges::any_of(items, [&](const Value& other) { return equal(item, other, budget); });
  if (budget.exhausted()) return out_of_budget();
  return found;
}

Result<bool> compare(Comparison op, const Value& left, const Value& right, Budget& budget) {
  switch (op) {
    case Comparison::kEqual:
      return equal(left, right, budget);
    case Comparison::kNotEqual:
      return !equal(left, right, budget);
    case Comparison::kLess:
      return less(left, right, budget);
    case Comparison::kGreater:
      return less(right, left, budget);
    case Comparison::kLessOrEqual:
    case Comparison::kGreaterOrEqual: {
      const bool swapped = op == Comparison::kGreaterOrEqual;
      CARAT_TRY(const bool smaller, swapped ? less(right, left, budget) : less(left, right, budget));
      return smaller || equal(left, right, budget);
    }
    case Comparison::kIn:
      return contains(right, left, budget);
    case Comparison::kNotIn: {
      CARAT_TRY(const bool found, contains(right, left, budget));
      return !found;
    }
  }
  return false;
}

Result<Value> attribute(const Value& object, const std::string& name, Budget& budget) {
  if (object.undefined()) return undefined_error(object);
  CARAT_TRY(Value value, method(object, name));
  if (!value.undefined() || !object.dict() || changes_its_value(object, name)) return value;
  const Value* entry = find_entry(*object.dict(), name, budget);
  return entry ? *entry : value;
}

Result<Value> item(const Value& object, const Value& key, Budget& budget) {
  if (object.undefined()) return undefined_error(object);
  if (const Dict* dict = object.dict()) {
    if (const Value* value = find_entry(*dict, key, budget)) return *value;
  }
  int64_t storage = 0;
  const int64_t* index = as_integer(key, storage);
  if (index && (object.text() || (object.sequence() && object.sequence()->indexable()))) {
    return element_at(object, *index, budget);
  }
  if (const std::string* name = key.text()) return method(object, *name);
  return undefined("'" + std::string(type_name(object)) + " object' has no such element");
}

Result<Value> slice(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  if (object.undefined()) return undefined_error(object);
  const Sequence* sequence = object.sequence();
  if (!object.text() && !(sequence && sequence->indexable())) {
    return refused("'" + std::string(type_name(object)) + "' object cannot be sliced");
  }
  CARAT_TRY(const int64_t size, length(object));
  CARAT_TRY(const SliceRange range, slice_range(size, start, stop, step));
  const auto index = [&](int64_t i) { return static_cast<size_t>(range.start + i * range.step); };
  if (sequence) {
    std::vector<Value> items;
    for (int64_t i = 0; i < range.count; ++i) items.push_back(sequence->items[index(i)]);
    return make_sequence(sequence->kind, std::move(items), budget);
  }
  if (!budget.spend(object.text()->size() / 4)) return out_of_budget();
  const std::vector<std::string_view> characters = split_characters(*object.text());
  std::string text;
  for (int64_t i = 0; i < range.count; ++i) text += characters[index(i)];
  return make_text(std::move(text), budget);
}

}  // namespace carat::jinja
