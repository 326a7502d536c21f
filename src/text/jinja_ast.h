#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja_operators.h"
#include "text/jinja_value.h"

namespace carat::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<Statement>;

/// `(a, b, name=c, *star, **double_star)`
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;         ///< may be null
  ExpressionPtr double_star;  ///< may be null
};

struct Constant {
  Value value;
};
struct Name {
  std::string name;
};
struct Negation {
  ExpressionPtr operand;
};
struct Sign {
  bool minus;
  ExpressionPtr operand;
};
struct Logical {
  bool is_and;
  ExpressionPtr left;
  ExpressionPtr right;
};
struct Arithmetic {
  BinaryOperator op;
  ExpressionPtr left;
  ExpressionPtr right;
};
/// `a ~ b ~ c`
struct Concatenation {
  std::vector<ExpressionPtr> parts;
};
/// `a < b <= c`: holds if each neighbouring pair does.
struct ComparisonChain {
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
/// `value if condition else otherwise`
struct Conditional {
  ExpressionPtr condition;
  ExpressionPtr value;
  ExpressionPtr otherwise;  ///< null: undefined
};
struct ListLiteral {
  Sequence::Kind kind;
  std::vector<ExpressionPtr> items;
};
struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct AttributeAccess {
  ExpressionPtr object;
  std::string name;
};
struct ItemAccess {
  ExpressionPtr object;
  ExpressionPtr key;
};
/// The ends and the step may be null.
struct SliceAccess {
  ExpressionPtr object;
  ExpressionPtr start;
  ExpressionPtr stop;
  ExpressionPtr step;
};
struct Call {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct FilterCall {
  ExpressionPtr input;  ///< null: what a block has rendered
  std::string name;
  CallArguments arguments;
};
struct TestCall {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};

struct Expression {
  int line;
  int nesting;  ///< levels of expressions, this one included
  std::variant<Constant, Name, Negation, Sign, Logical, Arithmetic, Concatenation, ComparisonChain, Conditional,
               ListLiteral, DictLiteral, AttributeAccess, ItemAccess, SliceAccess, Call, FilterCall, TestCall>
      node;
};

/// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  std::string name;
  std::string attribute;      ///< empty: the name itself
  std::vector<Target> parts;  ///< not empty: a tuple, and the name is empty
};

struct MacroDefinition {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  ///< of the last parameters
  Body body;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct PlainText {
  std::string text;
};
struct Output {
  ExpressionPtr value;
};
struct Assignment {
  Target target;
  ExpressionPtr value;
};
/// `{% set name | filter %}...{% endset %}`
struct BlockAssignment {
  Target target;
  ExpressionPtr filter;  ///< may be null
  Body body;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr items;
  ExpressionPtr filter;  ///< may be null
  Body body;
  Body otherwise;
  bool uses_loop = false;
};
/// Its address is the macro's identity.
struct MacroStatement {
  std::unique_ptr<MacroDefinition> definition;
};
/// `{% call(parameters) callee(arguments) %}...{% endcall %}`
struct CallBlock {
  std::unique_ptr<MacroDefinition> caller;
  ExpressionPtr call;  ///< holds a Call
};
struct FilterBlock {
  ExpressionPtr filter;
  Body body;
};
/// `{% with a = 1 %}`; without variables it is just a scope.
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<PlainText, Output, Assignment, BlockAssignment, If, For, MacroStatement, CallBlock, FilterBlock, With,
               Break, Continue>
      node;
};

/// A parsed template.
struct Document {
  std::string source;
  Body body;
};

}  // namespace carat::jinja
