#pragma once

#include <string>

#include "text/jinja_ast.h"
#include "text/jinja_tokens.h"

namespace carat::jinja {

/// Reads expressions, with the precedence that jinja2 gives its operators.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader& tokens) : tokens_(tokens) {}

  /// An expression, or a tuple of them without brackets. `end` is a name that may stand behind a trailing comma.
  Result<ExpressionPtr> parse_tuple(bool with_conditional = true);
  Result<ExpressionPtr> parse();
  /// The filters behind `| `, the first of which gets `input`; null without a filter and an input.
  Result<ExpressionPtr> parse_filters(ExpressionPtr input);
  /// `name(arguments) | ...`: filters of which the first has no bar before it and no input.
  Result<ExpressionPtr> parse_filter_tag();

  /// How often names that have a meaning of their own were read so far.
  struct NamesRead {
    int loop = 0;
    int varargs = 0;
    int kwargs = 0;
    int caller = 0;
  };
  const NamesRead& names_read() const { return names_read_; }

 private:
  using Parse = Result<ExpressionPtr> (ExpressionParser::*)();

  Result<ExpressionPtr> make(int line, decltype(Expression::node) node, int nesting_below);
  Result<ExpressionPtr> parse_or();
  Result<ExpressionPtr> parse_and();
  Result<ExpressionPtr> parse_logical(std::string_view keyword, Parse operand);
  Result<ExpressionPtr> parse_not();
  Result<ExpressionPtr> parse_comparison();
  Result<ExpressionPtr> parse_sum();
  Result<ExpressionPtr> parse_concatenation();
  Result<ExpressionPtr> parse_product();
  Result<ExpressionPtr> parse_power();
  Result<ExpressionPtr> parse_unary();
  Result<ExpressionPtr> parse_signed(bool with_filters);
  Result<ExpressionPtr> parse_primary();
  Result<ExpressionPtr> parse_name();
  Result<ExpressionPtr> parse_string();
  Result<ExpressionPtr> parse_list();
  Result<ExpressionPtr> parse_dict();
  Result<ExpressionPtr> parse_postfix(ExpressionPtr object);
  Result<ExpressionPtr> parse_filters_and_tests(ExpressionPtr input);
  Result<ExpressionPtr> parse_attribute(ExpressionPtr object);
  Result<ExpressionPtr> parse_subscript(ExpressionPtr object);
  Result<ExpressionPtr> parse_slice(ExpressionPtr object, ExpressionPtr start, int line);
  Result<ExpressionPtr> parse_slice_end();
  Result<ExpressionPtr> parse_call(ExpressionPtr callee);
  Result<ExpressionPtr> parse_filter(ExpressionPtr input);
  Result<ExpressionPtr> parse_test(ExpressionPtr input);
  Result<CallArguments> parse_arguments();
  Status parse_argument(CallArguments& arguments);
  bool at_comparison(Comparison& op);
  bool at_test_argument() const;
  void count_name(std::string_view name);

  TokenReader& tokens_;
  NamesRead names_read_;
  int depth_ = 0;
};

}  // namespace carat::jinja
