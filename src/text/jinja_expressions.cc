#include "text/jinja_evaluator.h"
#include "text/jinja_filters.h"
#include "text/jinja_format.h"

namespace carat::jinja {
namespace {

const Value* find_global(std::string_view name) {
  static const std::map<std::string_view, Value> globals = {
      {"dict", {Function::kDict}},
      {"namespace", {Function::kNamespace}},
      {"raise_exception", {Function::kRaiseException}},
      {"range", {Function::kRange}},
  };
  const auto found = globals.find(name);
  return found == globals.end() ? nullptr : &found->second;
}

}  // namespace

Result<Value> Evaluator::evaluate(const Expression& expression) {
  const Level level(budget_);
  Result<Value> value = level.too_deep() ? Result<Value>(too_deep())
                        : !budget_.spend(1)
                            ? Result<Value>(out_of_budget())
                            : std::visit([&](const auto& node) { return value_of(node); }, expression.node);
  if (!value.ok() && error_line_ == 0) error_line_ = expression.line;
  return value;
}

Result<Value> Evaluator::evaluate_optional(const ExpressionPtr& expression) {
  return expression ? evaluate(*expression) : Result<Value>(Value{None{}});
}

Result<Value> Evaluator::value_of(const Constant& node) { return node.value; }

const Value* Evaluator::find_variable(std::string_view name) const {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    if (const auto found = scope->variables.find(name); found != scope->variables.end()) return &found->second;
  }
  return find_global(name);
}

Result<Value> Evaluator::value_of(const Name& node) {
  const Value* value = find_variable(node.name);
  return value ? *value : undefined(quoted(node.name) + " is undefined");
}

Result<Value> Evaluator::value_of(const Negation& node) {
  CARAT_TRY(const Value operand, evaluate(*node.operand));
  return Value{!truth(operand)};
}

Result<Value> Evaluator::value_of(const Sign& node) {
  CARAT_TRY(const Value operand, evaluate(*node.operand));
  return node.minus ? negated(operand) : unary_plus(operand);
}

Result<Value> Evaluator::value_of(const Logical& node) {
  CARAT_TRY(Value left, evaluate(*node.left));
  return truth(left) == node.is_and ? evaluate(*node.right) : Result<Value>(std::move(left));
}

Result<Value> Evaluator::value_of(const Arithmetic& node) {
  CARAT_TRY(const Value left, evaluate(*node.left));
  CARAT_TRY(const Value right, evaluate(*node.right));
  return apply(node.op, left, right, budget_);
}

Result<Value> Evaluator::value_of(const Concatenation& node) {
  BoundedText text;
  for (const ExpressionPtr& part : node.parts) {
    CARAT_TRY(const Value value, evaluate(*part));
    CARAT_TRY(const std::string shown, to_text(value, budget_));
    text.append(shown);
  }
  if (text.overflowed()) return refused("a text is too long");
  return make_text(text.take(), budget_);
}

Result<Value> Evaluator::value_of(const ComparisonChain& node) {
  CARAT_TRY(Value left, evaluate(*node.first));
  for (const auto& [op, operand] : node.rest) {
    CARAT_TRY(Value right, evaluate(*operand));
    CARAT_TRY(const bool holds, compare(op, left, right, budget_));
    if (!holds) return Value{false};
    left = std::move(right);
  }
  return Value{true};
}

Result<Value> Evaluator::value_of(const Conditional& node) {
  CARAT_TRY(const Value condition, evaluate(*node.condition));
  if (truth(condition)) return evaluate(*node.value);
  if (node.otherwise) return evaluate(*node.otherwise);
  return undefined("the inline if-expression evaluated to false and no else section was defined");
}

Result<Value> Evaluator::value_of(const ListLiteral& node) {
  std::vector<Value> items;
  for (const ExpressionPtr& item : node.items) {
    CARAT_TRY(Value value, evaluate(*item));
    items.push_back(std::move(value));
  }
  return make_sequence(node.kind, std::move(items), budget_);
}

Result<Value> Evaluator::value_of(const DictLiteral& node) {
  Dict dict;
  for (const auto& [key_expression, value_expression] : node.entries) {
    CARAT_TRY(Value key, evaluate(*key_expression));
    CARAT_TRY(Value value, evaluate(*value_expression));
    CARAT_TRY_STATUS(set_entry(dict, std::move(key), std::move(value), budget_));
  }
  return make_dict(std::move(dict), budget_);
}

Result<Value> Evaluator::value_of(const AttributeAccess& node) {
  CARAT_TRY(const Value object, evaluate(*node.object));
  return attribute(object, node.name, budget_);
}

Result<Value> Evaluator::value_of(const ItemAccess& node) {
  CARAT_TRY(const Value object, evaluate(*node.object));
  CARAT_TRY(const Value key, evaluate(*node.key));
  return item(object, key, budget_);
}

Result<Value> Evaluator::value_of(const SliceAccess& node) {
  CARAT_TRY(const Value object, evaluate(*node.object));
  CARAT_TRY(const Value start, evaluate_optional(node.start));
  CARAT_TRY(const Value stop, evaluate_optional(node.stop));
  CARAT_TRY(const Value step, evaluate_optional(node.step));
  return slice(object, start, stop, step, budget_);
}

Result<Value> Evaluator::value_of(const FilterCall& node) {
  CARAT_TRY(const Value input, node.input ? evaluate(*node.input) : Result<Value>(std::move(block_text_)));
  CARAT_TRY(const Arguments arguments, evaluate_arguments(node.arguments));
  return apply_filter(node.name, input, arguments, budget_);
}

Result<Value> Evaluator::value_of(const TestCall& node) {
  CARAT_TRY(const Value input, evaluate(*node.input));
  CARAT_TRY(const Arguments arguments, evaluate_arguments(node.arguments));
  CARAT_TRY(const bool holds, apply_test(node.name, input, arguments, budget_));
  return Value{holds};
}

}  // namespace carat::jinja
