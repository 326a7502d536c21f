#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/jinja_limits.h"

namespace carat::jinja {

/// Counts what a rendering costs. Whoever loops or allocates spends first; the evaluator stops when it is spent.
class Budget {
 public:
  /// False once more than kMaxWork has been spent.
  bool spend(uint64_t work) {
    spent_ += work;
    return !exhausted();
  }
  bool exhausted() const { return spent_ > kMaxWork; }

  /// Levels of evaluation now open; `Level` opens one.
  int depth = 0;

 private:
  uint64_t spent_ = 0;
};

/// Keeps one level of evaluation open as long as it lives.
class Level {
 public:
  explicit Level(Budget& budget) : budget_(budget) { ++budget_.depth; }
  ~Level() { --budget_.depth; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  bool too_deep() const { return budget_.depth > kMaxDepth; }

 private:
  Budget& budget_;
};

Error out_of_budget();
Error too_deep();

struct Sequence;
struct Dict;
struct Namespace;
struct Loop;
struct Method;
struct MacroDefinition;
struct Scope;

/// What a missing variable or attribute yields: prints as nothing, has no elements, and is an error when more is asked.
struct Undefined {
  std::shared_ptr<const std::string> reason;  ///< the message of that error; may be null
};
struct None {};
/// Points into the template and into the evaluator, which outlive every value.
struct Macro {
  const MacroDefinition* definition;
  Scope* scope;
};
enum class Function { kRange, kDict, kNamespace, kRaiseException };
using Text = std::shared_ptr<const std::string>;

/// A value of Python's kind. Copies share what they point to; only namespaces and loops change, and they belong to the
/// evaluator, so that values form no cycle of ownership.
struct Value {
  std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<Sequence>, std::shared_ptr<const Dict>,
               Namespace*, Loop*, std::shared_ptr<const Method>, Macro, Function>
      held;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&held);
  }
  /// The string, or null.
  const std::string* text() const { return as<Text>() ? as<Text>()->get() : nullptr; }
  Sequence* sequence() const {
    return as<std::shared_ptr<Sequence>>() ? as<std::shared_ptr<Sequence>>()->get() : nullptr;
  }
  const Dict* dict() const {
    return as<std::shared_ptr<const Dict>>() ? as<std::shared_ptr<const Dict>>()->get() : nullptr;
  }
  bool undefined() const { return as<Undefined>() != nullptr; }
  bool none() const { return as<None>() != nullptr; }
};

/// Lists and everything else that Python iterates over without being a string or a dict.
struct Sequence {
  enum class Kind {
    kList,
    kTuple,
    kRange,
    kGenerator,  ///< can be iterated once, and has no length
    kKeys,       ///< dict.keys()
    kValues,     ///< dict.values()
    kItems,      ///< dict.items()
  };
  Kind kind;
  std::vector<Value> items;
  int nesting;  ///< levels of lists and dicts below this one, itself included

  bool indexable() const { return kind == Kind::kList || kind == Kind::kTuple || kind == Kind::kRange; }
};

/// In order of insertion. Keys are hashable.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  int nesting = 1;
};

/// The one thing that a template can change: `{% set ns.name = value %}`.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
};

/// The variable `loop`.
struct Loop {
  std::vector<Value> items;
  size_t index0 = 0;
  std::vector<Value> last_changed;  ///< of loop.changed(...); empty before its first call
};

/// A method that was taken from its value but not yet called.
struct Method {
  Value receiver;
  std::string name;
};

/// The arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

Value undefined(std::string reason);
/// Refuses more than kMaxTextBytes.
Result<Value> make_text(std::string text, Budget& budget);
/// Refuse more than kMaxItems elements and more than kMaxNesting levels.
Result<Value> make_sequence(Sequence::Kind kind, std::vector<Value> items, Budget& budget);
Result<Value> make_dict(Dict dict, Budget& budget);

/// Sets `key`, which keeps its place if it is there. Refuses keys that Python cannot hash.
Status set_entry(Dict& dict, Value key, Value value, Budget& budget);
/// Null if the key is missing.
const Value* find_entry(const Dict& dict, const Value& key, Budget& budget);
const Value* find_entry(const Dict& dict, std::string_view key, Budget& budget);
/// Null if the attribute is missing.
const Value* find_attribute(const Namespace& space, std::string_view name);

/// Python's name of the type, for messages: `str`, `dict`.
std::string_view type_name(const Value& value);
/// Whether Python's `if` takes it.
bool truth(const Value& value);
/// What `for` iterates over: a copy of the elements, the characters of a string, the keys of a dict. A generator is
/// empty afterwards.
Result<std::vector<Value>> elements(const Value& value, Budget& budget);
/// Python's `len`.
Result<int64_t> length(const Value& value);

}  // namespace carat::jinja
