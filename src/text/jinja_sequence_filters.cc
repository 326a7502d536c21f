#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "text/jinja_filters.h"
#include "text/jinja_format.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

bool flag(const std::optional<Value>& value) { return value && truth(*value); }

Result<Value> make_list(std::vector<Value> items, Budget& budget) {
  return make_sequence(Sequence::Kind::kList, std::move(items), budget);
}
Result<Value> make_generator(std::vector<Value> items, Budget& budget) {
  return make_sequence(Sequence::Kind::kGenerator, std::move(items), budget);
}

Result<Value> length_filter(const Value& input, const Arguments& arguments, Budget&) {
  CARAT_TRY_STATUS(bind("length", {}, 0, arguments));
  CARAT_TRY(const int64_t size, length(input));
  return Value{size};
}

Result<Value> list_filter(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(bind("list", {}, 0, arguments));
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  return make_list(std::move(items), budget);
}

Result<Value> first(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(bind("first", {}, 0, arguments));
  CARAT_TRY(const std::vector<Value> items, elements(input, budget));
  return items.empty() ? undefined("No first item, sequence was empty.") : items.front();
}

Status check_reversible(std::string_view name, const Value& input) {
  if (!input.sequence() || input.sequence()->kind != Sequence::Kind::kGenerator) return success();
  return refused(std::string(name) + ": a generator has no end to begin at; use the filter list");
}

Result<Value> last(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(bind("last", {}, 0, arguments));
  CARAT_TRY_STATUS(check_reversible("last", input));
  CARAT_TRY(const std::vector<Value> items, elements(input, budget));
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

Result<Value> reverse(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(bind("reverse", {}, 0, arguments));
  if (input.text()) return slice(input, {None{}}, {None{}}, {int64_t{-1}}, budget);
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  std::ranges::reverse(items);
  const bool was_generator = input.sequence() && input.sequence()->kind == Sequence::Kind::kGenerator;
  return was_generator ? make_list(std::move(items), budget) : make_generator(std::move(items), budget);
}

Result<std::vector<Value>> attributes(std::vector<Value> items, const std::optional<Value>& path, Budget& budget) {
  if (!path || path->none()) return items;
  for (Value& item : items) {
    CARAT_TRY(item, element_attribute(item, *path, budget));
  }
  return items;
}

Result<Value> join(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<2>("join", {"d", "attribute"}, 0, arguments));
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  CARAT_TRY(items, attributes(std::move(items), bound[1], budget));
  CARAT_TRY(const std::string separator, bound[0] ? to_text(*bound[0], budget) : std::string());
  BoundedText joined;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) joined.append(separator);
    CARAT_TRY(const std::string text, to_text(items[i], budget));
    joined.append(text);
    if (!budget.spend(1 + text.size() / 16)) return out_of_budget();
  }
  if (joined.overflowed()) return refused("join: the text is too long");
  return make_text(joined.take(), budget);
}

Result<Value> pairs_of(const Dict& dict, Sequence::Kind kind, Budget& budget) {
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    CARAT_TRY(Value pair, make_sequence(Sequence::Kind::kTuple, {key, value}, budget));
    items.push_back(std::move(pair));
  }
  return make_sequence(kind, std::move(items), budget);
}

Result<Value> items_filter(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY_STATUS(bind("items", {}, 0, arguments));
  if (input.undefined()) return make_generator({}, budget);
  if (!input.dict()) return refused("items: a dict was expected, found '" + std::string(type_name(input)) + "'");
  return pairs_of(*input.dict(), Sequence::Kind::kGenerator, budget);
}

// Elements with the values that they are ordered by.
using Keyed = std::vector<std::pair<Value, Value>>;

// Strings are compared in lower case unless case matters.
Result<Value> without_case(const Value& key, bool case_sensitive, Budget& budget) {
  if (case_sensitive || !key.text()) return key;
  CARAT_TRY_STATUS(check_ascii("comparisons that ignore the case", *key.text()));
  return make_text(to_lower(*key.text()), budget);
}

Result<Keyed> keyed(std::vector<Value> items, const std::optional<Value>& path, bool case_sensitive, Budget& budget) {
  Keyed result;
  for (Value& item : items) {
    CARAT_TRY(Value key, path && !path->none() ? element_attribute(item, *path, budget) : Result<Value>(item));
    CARAT_TRY(key, without_case(key, case_sensitive, budget));
    result.emplace_back(std::move(key), std::move(item));
  }
  return result;
}

// Equal elements keep their order, also in reverse.
Status sort_by_key(Keyed& items, bool descending, Budget& budget) {
  Status status = success();
  std::ranges::stable_sort(items, [&](const auto& a, const auto& b) {
    if (!status.ok()) return false;
    const Result<bool> smaller = descending ? less(b.first, a.first, budget) : less(a.first, b.first, budget);
    if (!smaller.ok()) status = smaller.error();
    return smaller.ok() && *smaller;
  });
  return status;
}

std::vector<Value> elements_of(Keyed keyed) {
  std::vector<Value> items;
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return items;
}

Result<Value> sort(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<3>("sort", {"reverse", "case_sensitive", "attribute"}, 0, arguments));
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  CARAT_TRY(Keyed ordered, keyed(std::move(items), bound[2], flag(bound[1]), budget));
  CARAT_TRY_STATUS(sort_by_key(ordered, flag(bound[0]), budget));
  return make_list(elements_of(std::move(ordered)), budget);
}

Result<Value> dictsort(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<3>("dictsort", {"case_sensitive", "by", "reverse"}, 0, arguments));
  const std::string by = bound[1] && bound[1]->text() ? *bound[1]->text() : bound[1] ? "" : "key";
  if (by != "key" && by != "value") return refused("dictsort: it can sort by 'key' or by 'value'");
  if (!input.dict()) return refused("dictsort: a dict was expected, found '" + std::string(type_name(input)) + "'");
  CARAT_TRY(const Value pairs, pairs_of(*input.dict(), Sequence::Kind::kList, budget));
  const Value position{int64_t{by == "key" ? 0 : 1}};
  CARAT_TRY(Keyed ordered, keyed(pairs.sequence()->items, position, flag(bound[0]), budget));
  CARAT_TRY_STATUS(sort_by_key(ordered, flag(bound[2]), budget));
  return make_list(elements_of(std::move(ordered)), budget);
}

enum class Extreme { kSmallest, kLargest };

template <Extreme extreme>
Result<Value> extreme_filter(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<2>("min or max", {"case_sensitive", "attribute"}, 0, arguments));
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  if (items.empty()) return undefined("No aggregated item, sequence was empty.");
  CARAT_TRY(const Keyed candidates, keyed(std::move(items), bound[1], flag(bound[0]), budget));
  size_t best = 0;
  for (size_t i = 1; i < candidates.size(); ++i) {
    const Value& key = candidates[i].first;
    const Value& best_key = candidates[best].first;
    CARAT_TRY(const bool better,
              extreme == Extreme::kSmallest ? less(key, best_key, budget) : less(best_key, key, budget));
    if (better) best = i;
  }
  return candidates[best].second;
}

Result<Value> sum(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<2>("sum", {"attribute", "start"}, 0, arguments));
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  CARAT_TRY(items, attributes(std::move(items), bound[0], budget));
  Value total = bound[1] ? *bound[1] : Value{int64_t{0}};
  if (total.text()) return refused("sum: strings cannot be summed; use the filter join");
  for (const Value& item : items) {
    CARAT_TRY(total, apply(BinaryOperator::kAdd, total, item, budget));
  }
  return total;
}

Result<Value> unique(const Value& input, const Arguments& arguments, Budget& budget) {
  CARAT_TRY(const Bound bound, bind_filter<2>("unique", {"case_sensitive", "attribute"}, 0, arguments));
  CARAT_TRY(std::vector<Value> items, elements(input, budget));
  CARAT_TRY(const Keyed candidates, keyed(std::move(items), bound[1], flag(bound[0]), budget));
  Dict seen;
  std::vector<Value> firsts;
  for (const auto& [key, item] : candidates) {
    const size_t before = seen.entries.size();
    CARAT_TRY_STATUS(set_entry(seen, key, {}, budget));
    if (seen.entries.size() > before) firsts.push_back(item);
  }
  return make_generator(std::move(firsts), budget);
}

}  // namespace

const FilterTable& sequence_filters() {
  static const FilterTable filters = {
      {"count", length_filter},
      {"dictsort", dictsort},
      {"first", first},
      {"items", items_filter},
      {"join", join},
      {"last", last},
      {"length", length_filter},
      {"list", list_filter},
      {"max", extreme_filter<Extreme::kLargest>},
      {"min", extreme_filter<Extreme::kSmallest>},
      {"reverse", reverse},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  };
  return filters;
}

Result<Value> element_attribute(const Value& element, const Value& path, Budget& budget) {
  if (!path.text()) return item(element, path, budget);
  if (path.text()->find(',') != std::string::npos) return refused("several attributes at once are not supported");
  Value value = element;
  for (const std::string_view part : split_at(*path.text(), ".", -1)) {
    const bool number = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == part.npos;
    const Value key =
        number ? Value{int64_t{std::stoi(std::string(part))}} : Value{std::make_shared<const std::string>(part)};
    CARAT_TRY(value, item(value, key, budget));
  }
  return value;
}

}  // namespace carat::jinja
