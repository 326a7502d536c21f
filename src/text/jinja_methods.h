#pragma once

#include <array>
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

/// Arguments in the order of a function's parameters; what is not given is empty.
using Bound = std::vector<std::optional<Value>>;

/// Refuses unknown, doubled and missing arguments. `function` names it in messages; the first `required` parameters
/// must be given.
Result<Bound> bind(std::string_view function, std::span<const std::string_view> parameters, size_t required,
                   const Arguments& arguments);

/// The same with the names of the parameters written in place.
template <size_t count>
Result<Bound> bind_filter(std::string_view name, const std::array<std::string_view, count>& parameters, size_t required,
                          const Arguments& arguments) {
  return bind(name, parameters, required, arguments);
}

/// Upper and lower case are known for ASCII only.
Status check_ascii(std::string_view function, std::string_view text);

/// The int of an argument, or `missing` when it was not given.
Result<int64_t> integer_argument(const std::optional<Value>& value, int64_t missing);

}  // namespace carat::jinja
