#include <algorithm>

#include "text/jinja_filters.h"
#include "text/jinja_format.h"

namespace carat::jinja {
namespace {

// The arguments behind the first `count` positional ones.
Arguments behind(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(), rest.positional.begin() + static_cast<ptrdiff_t>(count));
  return rest;
}

Result<std::string> name_argument(const Value& value) {
  if (value.text()) return *value.text();
  return refused("the name of a filter or test was expected, found '" + std::string(type_name(value)) + "'");
}

Result<Value> map_attribute(const Value& input, const Arguments& arguments, Budget& budget) {
  const Value* path = nullptr;
  Value missing{None{}};
  for (const auto& [name, value] : arguments.named) {
    if (name == "attribute") path = &value;
    if (name == "default") missing = value;
    if (name != "attribute" && name != "default") return refused("map: unknown argument " + quoted(name));
  }
  if (!path) return refused("map: a filter or an attribute is needed");
  std::vector<Value> mapped;
  if (truth(input)) {
    CARAT_TRY(mapped, elements(input, budget));
  }
  for (Value& item : mapped) {
    CARAT_TRY(item, element_attribute(item, *path, budget));
    if (item.undefined() && !missing.none()) item = missing;
  }
  return make_sequence(Sequence::Kind::kGenerator, std::move(mapped), budget);
}

Result<Value> map(const Value& input, const Arguments& arguments, Budget& budget) {
  if (arguments.positional.empty()) return map_attribute(input, arguments, budget);
  CARAT_TRY(const std::string name, name_argument(arguments.positional[0]));
  const Arguments rest = behind(arguments, 1);
  std::vector<Value> mapped;
  if (truth(input)) {
    CARAT_TRY(mapped, elements(input, budget));
  }
  for (Value& item : mapped) {
    if (!budget.spend(1 + rest.positional.size())) return out_of_budget();
    CARAT_TRY(item, apply_filter(name, item, rest, budget));
  }
  return make_sequence(Sequence::Kind::kGenerator, std::move(mapped), budget);
}

enum class Subject { kElement, kAttribute };
enum class Wanted { kPassing, kFailing };

template <Subject subject, Wanted wanted>
Result<Value> select(const Value& input, const Arguments& arguments, Budget& budget) {
  const size_t leading = subject == Subject::kAttribute ? 1 : 0;
  if (arguments.positional.size() < leading) return refused("the name of an attribute is missing");
  const bool has_test = arguments.positional.size() > leading;
  std::string name;
  if (has_test) {
    CARAT_TRY(name, name_argument(arguments.positional[leading]));
  }
  const Arguments rest = has_test ? behind(arguments, leading + 1) : Arguments{};
  std::vector<Value> items;
  if (truth(input)) {
    CARAT_TRY(items, elements(input, budget));
  }
  std::vector<Value> kept;
  for (const Value& item : items) {
    if (!budget.spend(1 + rest.positional.size())) return out_of_budget();
    CARAT_TRY(const Value tested, subject == Subject::kAttribute
                                      ? element_attribute(item, arguments.positional[0], budget)
                                      : Result<Value>(item));
    CARAT_TRY(const bool passes, has_test ? apply_test(name, tested, rest, budget) : Result<bool>(truth(tested)));
    if (passes == (wanted == Wanted::kPassing)) kept.push_back(item);
  }
  return make_sequence(Sequence::Kind::kGenerator, std::move(kept), budget);
}

}  // namespace

const FilterTable& selection_filters() {
  static const FilterTable filters = {
      {"map", map},
      {"reject", select<Subject::kElement, Wanted::kFailing>},
      {"rejectattr", select<Subject::kAttribute, Wanted::kFailing>},
      {"select", select<Subject::kElement, Wanted::kPassing>},
      {"selectattr", select<Subject::kAttribute, Wanted::kPassing>},
  };
  return filters;
}

}  // namespace carat::jinja
