#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "text/jinja_value.h"

namespace carat::jinja {

/// Whether `object.name` is a method of its type that can be called here.
bool has_method(const Value& object, std::string_view name);
Result<Value> call_method(const Method& method, const Arguments& arguments, Budget& budget);

/// `loop.name`; undefined if there is no such attribute.
Result<Value> loop_attribute(const Loop& loop, std::string_view name);

/// The arguments in the order of `parameters`; what is not given is empty. Refuses unknown, doubled and missing ones.
/// `function` names it in messages; the first `required` parameters must be given.
Result<std::vector<std::optional<Value>>> bind(std::string_view function, std::span<const std::string_view> parameters,
                                               size_t required, const Arguments& arguments);

/// Upper and lower case are known for ASCII only.
Status check_ascii(std::string_view function, std::string_view text);

/// The int of an argument, or `missing` when it was not given.
Result<int64_t> integer_argument(const std::optional<Value>& value, int64_t missing);

}  // namespace carat::jinja
