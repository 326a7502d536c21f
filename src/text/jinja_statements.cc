#include "text/jinja_evaluator.h"
#include "text/jinja_filters.h"
#include "text/jinja_format.h"
#include "text/jinja_lexer.h"

namespace carat::jinja {

Evaluator::Evaluator(const Document& document, std::shared_ptr<Scope> variables, Budget& budget)
    : document_(document), budget_(budget), scope_(std::make_shared<Scope>(std::move(variables))) {}

Evaluator::~Evaluator() = default;

Result<std::string> Evaluator::render() {
  BoundedText text;
  output_ = &text;
  const Result<Flow> flow = execute(document_.body);
  if (!flow.ok()) return error_at(document_.source, error_line_, flow.error().message);
  return text.take();
}

Status Evaluator::write(std::string_view text) {
  output_->append(text);
  if (output_->overflowed()) return refused("the output is longer than " + std::to_string(kMaxTextBytes) + " bytes");
  if (!budget_.spend(text.size() / 16)) return out_of_budget();
  return success();
}

Result<Evaluator::Flow> Evaluator::execute(const Body& body) {
  for (const Statement& statement : body) {
    CARAT_TRY(const Flow flow, execute(statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::execute(const Statement& statement) {
  const Level level(budget_);
  Result<Flow> flow = level.too_deep()    ? Result<Flow>(too_deep())
                      : !budget_.spend(1) ? Result<Flow>(out_of_budget())
                                          : std::visit([&](const auto& node) { return run(node); }, statement.node);
  if (!flow.ok() && error_line_ == 0) error_line_ = statement.line;
  return flow;
}

Result<Evaluator::Flow> Evaluator::run(const PlainText& node) {
  CARAT_TRY_STATUS(write(node.text));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run(const Output& node) {
  CARAT_TRY(const Value value, evaluate(*node.value));
  CARAT_TRY(const std::string text, to_text(value, budget_));
  CARAT_TRY_STATUS(write(text));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run(const Assignment& node) {
  CARAT_TRY(Value value, evaluate(*node.value));
  CARAT_TRY_STATUS(assign(node.target, std::move(value)));
  return Flow::kNext;
}

// Renders `body` into `text`, in a scope of its own.
Result<Evaluator::Flow> Evaluator::capture(const Body& body, Value& text) {
  const OpenScope scope(*this);
  BoundedText captured;
  BoundedText* const before = std::exchange(output_, &captured);
  Result<Flow> flow = execute(body);
  output_ = before;
  if (flow.ok()) {
    CARAT_TRY(text, make_text(captured.take(), budget_));
  }
  return flow;
}

Result<Value> Evaluator::filtered(const Expression& filter, Value text) {
  block_text_ = std::move(text);
  return evaluate(filter);
}

Result<Evaluator::Flow> Evaluator::run(const BlockAssignment& node) {
  Value text;
  CARAT_TRY(const Flow flow, capture(node.body, text));
  if (flow != Flow::kNext) return flow;
  if (node.filter) {
    CARAT_TRY(text, filtered(*node.filter, std::move(text)));
  }
  CARAT_TRY_STATUS(assign(node.target, std::move(text)));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run(const If& node) {
  for (const auto& [condition, body] : node.branches) {
    CARAT_TRY(const Value value, evaluate(*condition));
    if (truth(value)) return execute(body);
  }
  return execute(node.otherwise);
}

Result<bool> Evaluator::passes_filter(const For& node) {
  if (!node.filter) return true;
  CARAT_TRY(const Value value, evaluate(*node.filter));
  return truth(value);
}

// The loop variable knows how many elements pass the filter, so all are tried before the first turn.
Result<Loop*> Evaluator::make_loop(const For& node, std::vector<Value> items) {
  auto loop = std::make_unique<Loop>();
  for (Value& item : items) {
    const OpenScope scope(*this);
    if (node.filter) CARAT_TRY_STATUS(assign(node.target, item));
    CARAT_TRY(const bool passes, passes_filter(node));
    if (passes) loop->items.push_back(std::move(item));
  }
  if (!budget_.spend(8 + loop->items.size() * 2)) return out_of_budget();
  loops_.push_back(std::move(loop));
  return loops_.back().get();
}

// As in jinja2, `else` comes when no turn has reached its end, be it by `break` or `continue`.
Result<Evaluator::Flow> Evaluator::run(const For& node) {
  CARAT_TRY(const Value iterable, evaluate(*node.items));
  CARAT_TRY(std::vector<Value> items, elements(iterable, budget_));
  Loop* loop = nullptr;
  if (node.uses_loop) {
    CARAT_TRY(loop, make_loop(node, std::move(items)));
    items = loop->items;
  }
  bool finished_a_turn = false;
  for (size_t i = 0; i < items.size(); ++i) {
    const OpenScope scope(*this);
    CARAT_TRY_STATUS(assign(node.target, items[i]));
    CARAT_TRY(const bool passes, loop ? Result<bool>(true) : passes_filter(node));
    if (!passes) continue;
    if (loop) {
      loop->index0 = i;
      scope_->variables["loop"] = {loop};
    }
    CARAT_TRY(const Flow flow, execute(node.body));
    finished_a_turn = finished_a_turn || flow == Flow::kNext;
    if (flow == Flow::kBreak) break;
  }
  if (loop) *loop = {};
  return finished_a_turn ? Result<Flow>(Flow::kNext) : run_otherwise(node);
}

Result<Evaluator::Flow> Evaluator::run_otherwise(const For& node) {
  const OpenScope scope(*this);
  return execute(node.otherwise);
}

Result<Evaluator::Flow> Evaluator::run(const MacroStatement& node) {
  scope_->variables[node.definition->name] = {make_macro(*node.definition)};
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run(const CallBlock& node) {
  const Call& call_node = std::get<Call>(node.call->node);
  CARAT_TRY(const Value callee, evaluate(*call_node.callee));
  CARAT_TRY(Arguments arguments, evaluate_arguments(call_node.arguments));
  arguments.named.emplace_back("caller", Value{make_macro(*node.caller)});
  CARAT_TRY(const Value value, call(callee, arguments));
  CARAT_TRY(const std::string text, to_text(value, budget_));
  CARAT_TRY_STATUS(write(text));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run(const FilterBlock& node) {
  Value text;
  CARAT_TRY(const Flow flow, capture(node.body, text));
  if (flow != Flow::kNext) return flow;
  CARAT_TRY(const Value value, filtered(*node.filter, std::move(text)));
  CARAT_TRY(const std::string shown, to_text(value, budget_));
  CARAT_TRY_STATUS(write(shown));
  return Flow::kNext;
}

// The values do not see each other.
Result<Evaluator::Flow> Evaluator::run(const With& node) {
  std::vector<Value> values;
  for (const auto& variable : node.variables) {
    CARAT_TRY(Value value, evaluate(*variable.second));
    values.push_back(std::move(value));
  }
  const OpenScope scope(*this);
  for (size_t i = 0; i < values.size(); ++i) CARAT_TRY_STATUS(assign(node.variables[i].first, std::move(values[i])));
  return execute(node.body);
}

Result<Evaluator::Flow> Evaluator::run(const Break&) { return Flow::kBreak; }
Result<Evaluator::Flow> Evaluator::run(const Continue&) { return Flow::kContinue; }

Status Evaluator::assign(const Target& target, Value value) {
  if (!target.parts.empty()) return assign_parts(target.parts, value);
  if (!target.attribute.empty()) return assign_attribute(target, std::move(value));
  scope_->variables[target.name] = std::move(value);
  return success();
}

Status Evaluator::assign_parts(const std::vector<Target>& parts, const Value& value) {
  CARAT_TRY(std::vector<Value> items, elements(value, budget_));
  if (items.size() != parts.size()) {
    return refused("expected " + std::to_string(parts.size()) + " values to unpack, found " +
                   std::to_string(items.size()));
  }
  for (size_t i = 0; i < parts.size(); ++i) CARAT_TRY_STATUS(assign(parts[i], std::move(items[i])));
  return success();
}

Status Evaluator::assign_attribute(const Target& target, Value value) {
  const Value* object = find_variable(target.name);
  Namespace* const* space = object ? object->as<Namespace*>() : nullptr;
  if (!space) return refused("cannot assign attribute on non-namespace object " + quoted(target.name));
  if (target.attribute.starts_with('_'))
    return refused("namespace: " + quoted(target.attribute) + " begins with an underscore");
  if (!budget_.spend(1 + (*space)->attributes.size() / 4)) return out_of_budget();
  if (const Value* found = find_attribute(**space, target.attribute)) {
    *const_cast<Value*>(found) = std::move(value);
  } else {
    (*space)->attributes.emplace_back(target.attribute, std::move(value));
  }
  return success();
}

}  // namespace carat::jinja
