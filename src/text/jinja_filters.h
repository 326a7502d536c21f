#pragma once

#include <map>
#include <string_view>

#include "text/jinja_value.h"

namespace carat::jinja {

using Filter = Result<Value> (*)(const Value& input, const Arguments& arguments, Budget& budget);
using FilterTable = std::map<std::string_view, Filter>;

/// Filters of one value.
const FilterTable& value_filters();
/// Filters of sequences.
const FilterTable& sequence_filters();
/// Filters that pick or change elements: map, select and their kin.
const FilterTable& selection_filters();

/// `input | name(arguments)`.
Result<Value> apply_filter(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget);
/// `input is name(arguments)`.
Result<bool> apply_test(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget);

/// What a filter's argument `attribute` names in an element: `'a.b'` and `0` are looked up step by step.
Result<Value> element_attribute(const Value& element, const Value& path, Budget& budget);

}  // namespace carat::jinja
