#include "text/jinja_methods.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/ascii.h"
#include "text/jinja_format.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

using Bound = std::vector<std::optional<Value>>;
using TextFunction = Result<Value> (*)(const std::string& text, const Bound& arguments, Budget& budget);

struct TextMethod {
  std::vector<std::string_view> parameters;
  size_t required;
  TextFunction call;
};

// The string of an argument; null when it is not given or None.
Result<const std::string*> text_argument(const Bound& arguments, size_t index) {
  if (index >= arguments.size() || !arguments[index] || arguments[index]->none()) {
    return static_cast<const std::string*>(nullptr);
  }
  const std::string* text = arguments[index]->text();
  if (!text) return refused("a string was expected, found '" + std::string(type_name(*arguments[index])) + "'");
  return text;
}

Result<const std::string*> required_text(const Bound& arguments, size_t index) {
  CARAT_TRY(const std::string* text, text_argument(arguments, index));
  if (!text) return refused("a string was expected, found 'NoneType'");
  return text;
}

Result<Value> make_list(const std::vector<std::string_view>& parts, Budget& budget) {
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    CARAT_TRY(Value item, make_text(std::string(part), budget));
    items.push_back(std::move(item));
  }
  return make_sequence(Sequence::Kind::kList, std::move(items), budget);
}

template <Ends ends>
Result<Value> strip_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::string* set, text_argument(arguments, 0));
  if (set && !spend_search(text, *set, budget)) return out_of_budget();
  return make_text(std::string(set ? strip(text, ends, *set) : strip(text, ends)), budget);
}

using Splitter = std::vector<std::string_view> (*)(std::string_view, std::string_view, int64_t);

template <Splitter splitter>
Result<Value> split_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::string* separator, text_argument(arguments, 0));
  CARAT_TRY(const int64_t limit, integer_argument(arguments[1], -1));
  if (!spend_search(text, separator ? *separator : " ", budget)) return out_of_budget();
  if (separator && separator->empty()) return refused("split: empty separator");
  if (separator) return make_list(splitter(text, *separator, limit), budget);
  if (splitter == split_from_end && limit >= 0) return refused("rsplit: without a separator a limit is not supported");
  return make_list(split_at_space(text, limit), budget);
}

using Matches = bool (*)(std::string_view, std::string_view);
bool starts(std::string_view text, std::string_view part) { return text.starts_with(part); }
bool ends(std::string_view text, std::string_view part) { return text.ends_with(part); }

template <Matches matches>
Result<Value> affix_method(const std::string& text, const Bound& arguments, Budget&) {
  const Sequence* sequence = arguments[0]->sequence();
  if (!sequence || sequence->kind != Sequence::Kind::kTuple) {
    CARAT_TRY(const std::string* part, required_text(arguments, 0));
    return Value{matches(text, *part)};
  }
  for (const Value& item : sequence->items) {
    if (!item.text()) return refused("a tuple of strings was expected");
    if (matches(text, *item.text())) return Value{true};
  }
  return Value{false};
}

template <Matches matches>
Result<Value> remove_affix_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::string* part, required_text(arguments, 0));
  if (!matches(text, *part)) return make_text(text, budget);
  return make_text(text.substr(matches == starts ? part->size() : 0, text.size() - part->size()), budget);
}

using CaseChange = std::string (*)(std::string_view);

// `str.title`: a letter begins a word when no letter stands before it.
std::string titled(std::string_view text) {
  std::string changed = to_lower(text);
  bool in_word = false;
  for (char& letter : changed) {
    const bool is_letter = letter >= 'a' && letter <= 'z';
    if (is_letter && !in_word) letter = to_upper(letter);
    in_word = is_letter;
  }
  return changed;
}

template <CaseChange change>
Result<Value> case_method(const std::string& text, const Bound&, Budget& budget) {
  CARAT_TRY_STATUS(check_ascii("upper and lower case", text));
  return make_text(change(text), budget);
}

Result<Value> replace_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::string* before, required_text(arguments, 0));
  CARAT_TRY(const std::string* after, required_text(arguments, 1));
  CARAT_TRY(const int64_t limit, integer_argument(arguments[2], -1));
  if (!spend_search(text, *before, budget)) return out_of_budget();
  BoundedText result;
  std::vector<std::string_view> parts;
  if (before->empty()) {
    parts = split_characters(text);
    parts.insert(parts.begin(), std::string_view());
    parts.push_back(std::string_view());
    const size_t joined = limit < 0 ? parts.size() : std::min(static_cast<size_t>(limit) + 1, parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0 && i < joined) result.append(*after);
      result.append(parts[i]);
    }
  } else {
    parts = split_at(text, *before, limit);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) result.append(*after);
      result.append(parts[i]);
    }
  }
  if (result.overflowed()) return refused("replace: the text is too long");
  return make_text(result.take(), budget);
}

enum class Searched { kFirst, kLast };

template <Searched searched>
Result<Value> find_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::string* part, required_text(arguments, 0));
  if (!spend_search(text, *part, budget)) return out_of_budget();
  const size_t found = searched == Searched::kFirst ? text.find(*part) : text.rfind(*part);
  if (found == std::string::npos) return Value{int64_t{-1}};
  return Value{static_cast<int64_t>(count_characters(std::string_view(text).substr(0, found)))};
}

Result<Value> count_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::string* part, required_text(arguments, 0));
  if (!spend_search(text, *part, budget)) return out_of_budget();
  const size_t count = part->empty() ? count_characters(text) + 1 : split_at(text, *part, -1).size() - 1;
  return Value{static_cast<int64_t>(count)};
}

Result<Value> join_method(const std::string& text, const Bound& arguments, Budget& budget) {
  CARAT_TRY(const std::vector<Value> items, elements(*arguments[0], budget));
  BoundedText result;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].text()) {
      return refused("join: element " + std::to_string(i) + " is '" + std::string(type_name(items[i])) +
                     "', not 'str'");
    }
    if (i > 0) result.append(text);
    result.append(*items[i].text());
  }
  if (result.overflowed()) return refused("join: the text is too long");
  return make_text(result.take(), budget);
}

Result<Value> lines_method(const std::string& text, const Bound&, Budget& budget) {
  return make_list(split_lines(text), budget);
}

using Belongs = bool (*)(char);
bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }
bool is_letter(char letter) { return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'); }
bool is_blank(char letter) { return is_space(static_cast<unsigned char>(letter)); }
bool is_alphanumeric(char letter) { return is_digit(letter) || is_letter(letter); }

template <Belongs belongs>
Result<Value> class_method(const std::string& text, const Bound&, Budget&) {
  CARAT_TRY_STATUS(check_ascii("classes of characters", text));
  return Value{!text.empty() && std::ranges::all_of(text, belongs)};
}

const std::map<std::string_view, TextMethod>& text_methods() {
  static const std::map<std::string_view, TextMethod> methods = {
      {"capitalize", {{}, 0, case_method<capitalized>}},
      {"count", {{"sub"}, 1, count_method}},
      {"endswith", {{"suffix"}, 1, affix_method<ends>}},
      {"find", {{"sub"}, 1, find_method<Searched::kFirst>}},
      {"isalnum", {{}, 0, class_method<is_alphanumeric>}},
      {"isalpha", {{}, 0, class_method<is_letter>}},
      {"isdigit", {{}, 0, class_method<is_digit>}},
      {"isspace", {{}, 0, class_method<is_blank>}},
      {"join", {{"iterable"}, 1, join_method}},
      {"lower", {{}, 0, case_method<to_lower>}},
      {"lstrip", {{"chars"}, 0, strip_method<Ends::kLeft>}},
      {"removeprefix", {{"prefix"}, 1, remove_affix_method<starts>}},
      {"removesuffix", {{"suffix"}, 1, remove_affix_method<ends>}},
      {"replace", {{"old", "new", "count"}, 2, replace_method}},
      {"rfind", {{"sub"}, 1, find_method<Searched::kLast>}},
      {"rsplit", {{"sep", "maxsplit"}, 0, split_method<split_from_end>}},
      {"rstrip", {{"chars"}, 0, strip_method<Ends::kRight>}},
      {"split", {{"sep", "maxsplit"}, 0, split_method<split_at>}},
      {"splitlines", {{}, 0, lines_method}},
      {"startswith", {{"prefix"}, 1, affix_method<starts>}},
      {"strip", {{"chars"}, 0, strip_method<Ends::kBoth>}},
      {"title", {{}, 0, case_method<titled>}},
      {"upper", {{}, 0, case_method<to_upper>}},
  };
  return methods;
}

constexpr std::string_view kDictMethods[] = {"copy", "get", "items", "keys", "values"};
constexpr std::string_view kListMethods[] = {"copy", "count", "index"};
constexpr std::string_view kLoopMethods[] = {"changed", "cycle"};

Result<Value> call_text_method(const std::string& text, const std::string& name, const Arguments& arguments,
                               Budget& budget) {
  if (name == "format") return brace_format(text, arguments, budget);
  const TextMethod& method = text_methods().at(name);
  CARAT_TRY(const Bound bound, bind(name, method.parameters, method.required, arguments));
  return method.call(text, bound, budget);
}

Result<Value> get_entry(const Dict& dict, const Arguments& arguments, Budget& budget) {
  if (!arguments.named.empty() || arguments.positional.empty() || arguments.positional.size() > 2) {
    return refused("get: expected one or two positional arguments");
  }
  if (const Value* found = find_entry(dict, arguments.positional[0], budget)) return *found;
  return arguments.positional.size() == 2 ? arguments.positional[1] : Value{None{}};
}

Result<Value> call_dict_method(const Dict& dict, const std::string& name, const Arguments& arguments, Budget& budget) {
  if (name == "get") return get_entry(dict, arguments, budget);
  CARAT_TRY_STATUS(bind(name, {}, 0, arguments));
  if (name == "copy") return make_dict(dict, budget);
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    if (name != "items") {
      items.push_back(name == "keys" ? key : value);
      continue;
    }
    CARAT_TRY(Value pair, make_sequence(Sequence::Kind::kTuple, {key, value}, budget));
    items.push_back(std::move(pair));
  }
  const Sequence::Kind kind = name == "items"  ? Sequence::Kind::kItems
                              : name == "keys" ? Sequence::Kind::kKeys
                                               : Sequence::Kind::kValues;
  return make_sequence(kind, std::move(items), budget);
}

Result<Value> call_list_method(const Sequence& list, const std::string& name, const Arguments& arguments,
                               Budget& budget) {
  if (name == "copy") {
    CARAT_TRY_STATUS(bind(name, {}, 0, arguments));
    return make_sequence(list.kind, list.items, budget);
  }
  constexpr std::array<std::string_view, 1> kParameters = {"value"};
  CARAT_TRY(const Bound bound, bind(name, kParameters, 1, arguments));
  const auto matches = [&](const Value& item) { return equal(item, *bound[0], budget); };
  if (name == "count") return Value{static_cast<int64_t>(std::ranges::count_if(list.items, matches))};
  const auto found = std::ranges::find_if(list.items, matches);
  if (found == list.items.end()) return refused("index: the element is not in the list");
  return Value{found - list.items.begin()};
}

Result<Value> call_loop_method(Loop& loop, const std::string& name, const Arguments& arguments, Budget& budget) {
  if (name == "cycle") {
    if (arguments.positional.empty()) return refused("no items for cycling given");
    return arguments.positional[loop.index0 % arguments.positional.size()];
  }
  const auto same = [&](const Value& a, const Value& b) { return equal(a, b, budget); };
  const bool changed = loop.last_changed.empty() || !std::ranges::equal(loop.last_changed, arguments.positional, same);
  loop.last_changed = arguments.positional;
  return Value{changed};
}

}  // namespace

bool has_method(const Value& object, std::string_view name) {
  if (object.text()) return name == "format" || text_methods().contains(name);
  if (object.dict()) return std::ranges::count(kDictMethods, name) > 0;
  if (object.as<Loop*>()) return std::ranges::count(kLoopMethods, name) > 0;
  return object.sequence() && object.sequence()->indexable() && std::ranges::count(kListMethods, name) > 0;
}

Result<Value> call_method(const Method& method, const Arguments& arguments, Budget& budget) {
  const Value& receiver = method.receiver;
  if (receiver.text()) return call_text_method(*receiver.text(), method.name, arguments, budget);
  if (receiver.dict()) return call_dict_method(*receiver.dict(), method.name, arguments, budget);
  if (receiver.sequence()) return call_list_method(*receiver.sequence(), method.name, arguments, budget);
  return call_loop_method(**receiver.as<Loop*>(), method.name, arguments, budget);
}

Result<Value> loop_attribute(const Loop& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index0);
  const auto size = static_cast<int64_t>(loop.items.size());
  if (name == "index") return Value{index + 1};
  if (name == "index0") return Value{index};
  if (name == "revindex") return Value{size - index};
  if (name == "revindex0") return Value{size - index - 1};
  if (name == "first") return Value{index == 0};
  if (name == "last") return Value{index + 1 == size};
  if (name == "length") return Value{size};
  if (name == "depth") return Value{int64_t{1}};
  if (name == "depth0") return Value{int64_t{0}};
  if (name == "previtem") return index > 0 ? loop.items[loop.index0 - 1] : undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < size ? loop.items[loop.index0 + 1] : undefined("there is no next item");
  return undefined("'LoopContext object' has no attribute " + quoted(name));
}

Result<Bound> bind(std::string_view function, std::span<const std::string_view> parameters, size_t required,
                   const Arguments& arguments) {
  const std::string name(function);
  Bound bound(parameters.size());
  if (arguments.positional.size() > parameters.size()) {
    return refused(name + ": expected at most " + std::to_string(parameters.size()) + " arguments, found " +
                   std::to_string(arguments.positional.size()));
  }
  std::ranges::copy(arguments.positional, bound.begin());
  for (const auto& [key, value] : arguments.named) {
    const auto parameter = std::ranges::find(parameters, key);
    if (parameter == parameters.end()) return refused(name + ": unknown argument " + quoted(key));
    std::optional<Value>& place = bound[static_cast<size_t>(parameter - parameters.begin())];
    if (place) return refused(name + ": argument " + quoted(key) + " is given twice");
    place = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound[i]) return refused(name + ": argument " + quoted(parameters[i]) + " is missing");
  }
  return bound;
}

Status check_ascii(std::string_view function, std::string_view text) {
  if (is_ascii(text)) return success();
  return refused(std::string(function) +
                 " of letters beyond ASCII are not supported: " + quoted(text.size() > 100 ? "a long text" : text));
}

Result<int64_t> integer_argument(const std::optional<Value>& value, int64_t missing) {
  if (!value) return missing;
  int64_t storage = 0;
  if (const int64_t* integer = as_integer(*value, storage)) return *integer;
  return refused("an integer was expected, found '" + std::string(type_name(*value)) + "'");
}

}  // namespace carat::jinja
