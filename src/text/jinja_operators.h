#pragma once

#include <string_view>

#include "text/jinja_value.h"

/// Python's operators.
namespace carat::jinja {

enum class BinaryOperator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class Comparison { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kIn, kNotIn };

Result<Value> apply(BinaryOperator op, const Value& left, const Value& right, Budget& budget);
Result<Value> negated(const Value& value);
Result<Value> unary_plus(const Value& value);

Result<bool> compare(Comparison op, const Value& left, const Value& right, Budget& budget);
/// Python's `==`. False once the budget is exhausted.
bool equal(const Value& left, const Value& right, Budget& budget);
/// Python's `<`, and an error for what has no order.
Result<bool> less(const Value& left, const Value& right, Budget& budget);
Result<bool> contains(const Value& container, const Value& item, Budget& budget);

/// `object.name`: a method before an entry of that name, as Python has it. Undefined if there is neither.
Result<Value> attribute(const Value& object, const std::string& name, Budget& budget);
/// `object[key]`: an entry before a method of that name.
Result<Value> item(const Value& object, const Value& key, Budget& budget);
/// `object[start:stop:step]`; None stands for what is left out.
Result<Value> slice(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget);

/// The number of a bool or an int, or null.
const int64_t* as_integer(const Value& value, int64_t& storage);
/// Whether the value is a bool, an int or a float; `number` gets it.
bool as_number(const Value& value, double& number);

/// Spends what a search for `pattern` in `text` may cost.
bool spend_search(std::string_view text, std::string_view pattern, Budget& budget);

/// The error of using an undefined value.
Error undefined_error(const Value& value);

}  // namespace carat::jinja
