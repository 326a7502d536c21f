#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_text.h"

namespace carat::jinja {

/// Variables, and the scope around them.
struct Scope : std::enable_shared_from_this<Scope> {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}

  std::map<std::string, Value, std::less<>> variables;
  std::shared_ptr<Scope> parent;  ///< null: the variables that the template was given
};

/// Renders one document once.
///
/// Owns every namespace, every loop and every scope that a macro remembers, so that values which refer to each other in
/// a circle are freed with it.
class Evaluator {
 public:
  /// `document` and `budget` must outlive the evaluator.
  Evaluator(const Document& document, std::shared_ptr<Scope> variables, Budget& budget);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  Result<std::string> render();

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class OpenScope;

  // Expressions.
  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_optional(const ExpressionPtr& expression);
  Result<Value> value_of(const Constant& node);
  Result<Value> value_of(const Name& node);
  Result<Value> value_of(const Negation& node);
  Result<Value> value_of(const Sign& node);
  Result<Value> value_of(const Logical& node);
  Result<Value> value_of(const Arithmetic& node);
  Result<Value> value_of(const Concatenation& node);
  Result<Value> value_of(const ComparisonChain& node);
  Result<Value> value_of(const Conditional& node);
  Result<Value> value_of(const ListLiteral& node);
  Result<Value> value_of(const DictLiteral& node);
  Result<Value> value_of(const AttributeAccess& node);
  Result<Value> value_of(const ItemAccess& node);
  Result<Value> value_of(const SliceAccess& node);
  Result<Value> value_of(const Call& node);
  Result<Value> value_of(const FilterCall& node);
  Result<Value> value_of(const TestCall& node);
  const Value* find_variable(std::string_view name) const;

  // Calls.
  Result<Arguments> evaluate_arguments(const CallArguments& arguments);
  Status add_double_star(const Expression& expression, Arguments& arguments);
  Result<Value> call(const Value& callee, const Arguments& arguments);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments);
  Status bind_parameters(const MacroDefinition& macro, const Arguments& arguments);
  Status bind_named(const MacroDefinition& macro, const Arguments& arguments);
  Status bind_extras(const MacroDefinition& macro, const Arguments& arguments);
  Status fill_defaults(const MacroDefinition& macro);
  Result<Value> call_function(Function function, const Arguments& arguments);
  Result<Value> make_range(const Arguments& arguments);
  Result<Dict> dict_of(const Arguments& arguments);
  Result<Value> make_namespace(const Arguments& arguments);
  Macro make_macro(const MacroDefinition& definition);

  // Statements.
  Result<Flow> execute(const Body& body);
  Result<Flow> execute(const Statement& statement);
  Result<Flow> run(const PlainText& node);
  Result<Flow> run(const Output& node);
  Result<Flow> run(const Assignment& node);
  Result<Flow> run(const BlockAssignment& node);
  Result<Flow> run(const If& node);
  Result<Flow> run(const For& node);
  Result<Flow> run(const MacroStatement& node);
  Result<Flow> run(const CallBlock& node);
  Result<Flow> run(const FilterBlock& node);
  Result<Flow> run(const With& node);
  Result<Flow> run(const Break& node);
  Result<Flow> run(const Continue& node);
  Result<Flow> capture(const Body& body, Value& text);
  Result<Value> filtered(const Expression& filter, Value text);
  Result<Loop*> make_loop(const For& node, std::vector<Value> items);
  Result<bool> passes_filter(const For& node);
  Result<Flow> run_otherwise(const For& node);
  Status assign(const Target& target, Value value);
  Status assign_parts(const std::vector<Target>& parts, const Value& value);
  Status assign_attribute(const Target& target, Value value);
  Status write(std::string_view text);

  const Document& document_;
  Budget& budget_;
  std::shared_ptr<Scope> scope_;
  std::vector<std::shared_ptr<Scope>> remembered_;  // by macros
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  std::vector<std::unique_ptr<Loop>> loops_;
  BoundedText* output_ = nullptr;
  Value block_text_;    // the input of a filter that has none of its own
  int error_line_ = 0;  // of the innermost expression or statement that failed
};

/// The scope of a block, a macro or one turn of a loop, open as long as this lives.
class Evaluator::OpenScope {
 public:
  OpenScope(Evaluator& evaluator, std::shared_ptr<Scope> parent) : evaluator_(evaluator), before_(evaluator.scope_) {
    evaluator_.scope_ = std::make_shared<Scope>(std::move(parent));
  }
  explicit OpenScope(Evaluator& evaluator) : OpenScope(evaluator, evaluator.scope_) {}
  ~OpenScope() { evaluator_.scope_ = std::move(before_); }
  OpenScope(const OpenScope&) = delete;
  OpenScope& operator=(const OpenScope&) = delete;

 private:
  Evaluator& evaluator_;
  std::shared_ptr<Scope> before_;
};

}  // namespace carat::jinja
