#include "text/jinja_value.h"

#include <algorithm>

#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace carat::jinja {
namespace {

// A Value with its share of the allocation, in units of 16 bytes.
constexpr uint64_t kElementWork = 2;

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

int nesting_of(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->nesting;
  if (const Dict* dict = value.dict()) return dict->nesting;
  return 0;
}

Status check_size(size_t items, int nesting, Budget& budget) {
  if (items > kMaxItems) {
    return refused("a list of " + std::to_string(items) + " elements; at most " + std::to_string(kMaxItems) +
                   " are allowed");
  }
  if (nesting > kMaxNesting) {
    return refused("lists and dicts are nested more than " + std::to_string(kMaxNesting) + " levels deep");
  }
  if (!budget.spend(1 + items * kElementWork)) return out_of_budget();
  return success();
}

Status check_hashable(const Value& key) {
  const Sequence* sequence = key.sequence();
  if (sequence && sequence->kind == Sequence::Kind::kTuple) {
    for (const Value& item : sequence->items) CARAT_TRY_STATUS(check_hashable(item));
    return success();
  }
  if (sequence || key.dict()) return refused("unhashable type: '" + std::string(type_name(key)) + "'");
  return success();
}

Result<std::vector<Value>> characters_of(const std::string& text, Budget& budget) {
  const std::vector<std::string_view> characters = split_characters(text);
  CARAT_TRY_STATUS(check_size(characters.size() * 3, 1, budget));
  std::vector<Value> items;
  items.reserve(characters.size());
  for (const std::string_view character : characters) {
    items.push_back({std::make_shared<const std::string>(character)});
  }
  return items;
}

std::string_view sequence_type(Sequence::Kind kind) {
  switch (kind) {
    case Sequence::Kind::kList:
      return "list";
    case Sequence::Kind::kTuple:
      return "tuple";
    case Sequence::Kind::kRange:
      return "range";
    case Sequence::Kind::kGenerator:
      return "generator";
    case Sequence::Kind::kKeys:
      return "dict_keys";
    case Sequence::Kind::kValues:
      return "dict_values";
    case Sequence::Kind::kItems:
      return "dict_items";
  }
  return "";
}

}  // namespace

Error out_of_budget() { return refused("the template takes too much work or memory; it may not end"); }
Error too_deep() { return refused("macros or expressions are nested too deeply; a macro may call itself forever"); }

Value undefined(std::string reason) { return {Undefined{std::make_shared<const std::string>(std::move(reason))}}; }

Result<Value> make_text(std::string text, Budget& budget) {
  if (text.size() > kMaxTextBytes) {
    return refused("a text of " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxTextBytes) +
                   " are allowed");
  }
  if (!budget.spend(4 + text.size() / 16)) return out_of_budget();
  return Value{std::make_shared<const std::string>(std::move(text))};
}

Result<Value> make_sequence(Sequence::Kind kind, std::vector<Value> items, Budget& budget) {
  int nesting = 0;
  for (const Value& item : items) nesting = std::max(nesting, nesting_of(item));
  CARAT_TRY_STATUS(check_size(items.size(), nesting + 1, budget));
  return Value{std::make_shared<Sequence>(Sequence{kind, std::move(items), nesting + 1})};
}

Result<Value> make_dict(Dict dict, Budget& budget) {
  int nesting = 0;
  for (const auto& [key, value] : dict.entries) nesting = std::max({nesting, nesting_of(key), nesting_of(value)});
  dict.nesting = nesting + 1;
  CARAT_TRY_STATUS(check_size(dict.entries.size() * 2, dict.nesting, budget));
  return Value{std::make_shared<const Dict>(std::move(dict))};
}

const Value* find_entry(const Dict& dict, const Value& key, Budget& budget) {
  if (const std::string* name = key.text()) return find_entry(dict, *name, budget);
  for (const auto& [entry_key, value] : dict.entries) {
    if (equal(entry_key, key, budget)) return &value;
  }
  return nullptr;
}

const Value* find_entry(const Dict& dict, std::string_view key, Budget& budget) {
  budget.spend(dict.entries.size() / 4);
  for (const auto& [entry_key, value] : dict.entries) {
    if (const std::string* name = entry_key.text(); name && *name == key) return &value;
  }
  return nullptr;
}

Status set_entry(Dict& dict, Value key, Value value, Budget& budget) {
  CARAT_TRY_STATUS(check_hashable(key));
  if (const Value* found = find_entry(dict, key, budget)) {
    *const_cast<Value*>(found) = std::move(value);
  } else {
    dict.entries.emplace_back(std::move(key), std::move(value));
  }
  if (budget.exhausted()) return out_of_budget();
  return success();
}

const Value* find_attribute(const Namespace& space, std::string_view name) {
  const auto found = std::ranges::find(space.attributes, name, &std::pair<std::string, Value>::first);
  return found == space.attributes.end() ? nullptr : &found->second;
}

std::string_view type_name(const Value& value) {
  return std::visit(Overloaded{
                        [](const Undefined&) -> std::string_view { return "Undefined"; },
                        [](const None&) -> std::string_view { return "NoneType"; },
                        [](bool) -> std::string_view { return "bool"; },
                        [](int64_t) -> std::string_view { return "int"; },
                        [](double) -> std::string_view { return "float"; },
                        [](const Text&) -> std::string_view { return "str"; },
                        [](const std::shared_ptr<Sequence>& sequence) { return sequence_type(sequence->kind); },
                        [](const std::shared_ptr<const Dict>&) -> std::string_view { return "dict"; },
                        [](Namespace*) -> std::string_view { return "Namespace"; },
                        [](Loop*) -> std::string_view { return "LoopContext"; },
                        [](const std::shared_ptr<const Method>&) -> std::string_view { return "method"; },
                        [](const Macro&) -> std::string_view { return "Macro"; },
                        [](Function) -> std::string_view { return "function"; },
                    },
                    value.held);
}

bool truth(const Value& value) {
  return std::visit(Overloaded{
                        [](const Undefined&) { return false; },
                        [](const None&) { return false; },
                        [](bool held) { return held; },
                        [](int64_t held) { return held != 0; },
                        [](double held) { return held != 0; },
                        [](const Text& text) { return !text->empty(); },
                        [](const std::shared_ptr<Sequence>& sequence) {
                          return sequence->kind == Sequence::Kind::kGenerator || !sequence->items.empty();
                        },
                        [](const std::shared_ptr<const Dict>& dict) { return !dict->entries.empty(); },
                        [](const auto&) { return true; },
                    },
                    value.held);
}

Result<std::vector<Value>> elements(const Value& value, Budget& budget) {
  if (const std::string* text = value.text()) return characters_of(*text, budget);
  std::vector<Value> items;
  if (Sequence* sequence = value.sequence()) {
    if (!budget.spend(sequence->items.size() * kElementWork)) return out_of_budget();
    if (sequence->kind == Sequence::Kind::kGenerator) return std::exchange(sequence->items, {});
    return sequence->items;
  }
  if (const Dict* dict = value.dict()) {
    if (!budget.spend(dict->entries.size() * kElementWork)) return out_of_budget();
    for (const auto& entry : dict->entries) items.push_back(entry.first);
    return items;
  }
  if (value.undefined()) return items;
  return refused("'" + std::string(type_name(value)) + "' object is not iterable");
}

Result<int64_t> length(const Value& value) {
  if (const std::string* text = value.text()) return static_cast<int64_t>(count_characters(*text));
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->entries.size());
  if (const auto* loop = value.as<Loop*>()) return static_cast<int64_t>((*loop)->items.size());
  if (value.undefined()) return int64_t{0};
  const Sequence* sequence = value.sequence();
  if (sequence && sequence->kind != Sequence::Kind::kGenerator) return static_cast<int64_t>(sequence->items.size());
  return refused("object of type '" + std::string(type_name(value)) + "' has no len()");
}

}  // namespace carat::jinja
