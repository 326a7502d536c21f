#include "text/jinja_expression_parser.h"

#include <algorithm>

#include "text/jinja_format.h"

namespace carat::jinja {
namespace {

int nesting(const ExpressionPtr& expression) { return expression ? expression->nesting : 0; }

int nesting(const CallArguments& arguments) {
  int deepest = std::max(nesting(arguments.star), nesting(arguments.double_star));
  for (const auto& argument : arguments.positional) deepest = std::max(deepest, nesting(argument));
  for (const auto& argument : arguments.named) deepest = std::max(deepest, nesting(argument.second));
  return deepest;
}

int nesting(const std::vector<ExpressionPtr>& expressions) {
  int deepest = 0;
  for (const auto& expression : expressions) deepest = std::max(deepest, nesting(expression));
  return deepest;
}

struct OperatorName {
  std::string_view text;
  BinaryOperator op;
};
constexpr OperatorName kSums[] = {{"+", BinaryOperator::kAdd}, {"-", BinaryOperator::kSubtract}};
constexpr OperatorName kProducts[] = {{"*", BinaryOperator::kMultiply},
                                      {"/", BinaryOperator::kDivide},
                                      {"//", BinaryOperator::kFloorDivide},
                                      {"%", BinaryOperator::kModulo}};
constexpr OperatorName kPowers[] = {{"**", BinaryOperator::kPower}};

const OperatorName* take_one_of(TokenReader& tokens, std::span<const OperatorName> operators) {
  const auto found =
      std::ranges::find_if(operators, [&](const OperatorName& op) { return tokens.take_operator(op.text); });
  return found == operators.end() ? nullptr : &*found;
}

}  // namespace

// A chain such as a + b + c nests to the left without recursion here, so that its nodes are counted too.
Result<ExpressionPtr> ExpressionParser::make(int line, decltype(Expression::node) node, int nesting_below) {
  if (nesting_below >= 2 * kMaxNesting) return tokens_.error(line, "expressions are nested too deeply");
  return std::make_unique<Expression>(Expression{line, nesting_below + 1, std::move(node)});
}

Result<ExpressionPtr> ExpressionParser::parse_tuple(bool with_conditional) {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> items;
  bool comma = false;
  const auto ends = [&] {
    const TokenKind kind = tokens_.current().kind;
    return kind == TokenKind::kOutputClose || kind == TokenKind::kBlockClose || tokens_.at_operator(")") ||
           tokens_.at_name("recursive");
  };
  while (!ends()) {
    CARAT_TRY(ExpressionPtr item, with_conditional ? parse() : parse_or());
    items.push_back(std::move(item));
    if (!tokens_.take_operator(",")) break;
    comma = true;
  }
  if (items.size() == 1 && !comma) return std::move(items[0]);
  if (items.empty() && !tokens_.at_operator(")")) return tokens_.unexpected("an expression");
  const int below = nesting(items);
  return make(line, ListLiteral{Sequence::Kind::kTuple, std::move(items)}, below);
}

Result<ExpressionPtr> ExpressionParser::parse() {
  if (depth_ >= kMaxNesting) return tokens_.error(tokens_.line(), "expressions are nested too deeply");
  ++depth_;
  const int line = tokens_.line();
  Result<ExpressionPtr> value = parse_or();
  while (value.ok() && tokens_.take_name("if")) {
    CARAT_TRY(ExpressionPtr condition, parse_or());
    ExpressionPtr otherwise;
    if (tokens_.take_name("else")) {
      CARAT_TRY(otherwise, parse());
    }
    const int below = std::max({nesting(*value), nesting(condition), nesting(otherwise)});
    value = make(line, Conditional{std::move(condition), std::move(*value), std::move(otherwise)}, below);
  }
  --depth_;
  return value;
}

Result<ExpressionPtr> ExpressionParser::parse_or() { return parse_logical("or", &ExpressionParser::parse_and); }
Result<ExpressionPtr> ExpressionParser::parse_and() { return parse_logical("and", &ExpressionParser::parse_not); }

Result<ExpressionPtr> ExpressionParser::parse_logical(std::string_view keyword, Parse operand) {
  CARAT_TRY(ExpressionPtr left, (this->*operand)());
  while (tokens_.at_name(keyword)) {
    const int line = tokens_.take().line;
    CARAT_TRY(ExpressionPtr right, (this->*operand)());
    const int below = std::max(nesting(left), nesting(right));
    CARAT_TRY(left, make(line, Logical{keyword == "and", std::move(left), std::move(right)}, below));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_not() {
  std::vector<int> lines;
  while (tokens_.at_name("not")) lines.push_back(tokens_.take().line);
  CARAT_TRY(ExpressionPtr value, parse_comparison());
  for (; !lines.empty(); lines.pop_back()) {
    const int below = nesting(value);
    CARAT_TRY(value, make(lines.back(), Negation{std::move(value)}, below));
  }
  return value;
}

bool ExpressionParser::at_comparison(Comparison& op) {
  struct Symbol {
    std::string_view text;
    Comparison op;
  };
  constexpr Symbol kSymbols[] = {{"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
                                 {"<", Comparison::kLess},    {"<=", Comparison::kLessOrEqual},
                                 {">", Comparison::kGreater}, {">=", Comparison::kGreaterOrEqual}};
  for (const Symbol& symbol : kSymbols) {
    op = symbol.op;
    if (tokens_.at_operator(symbol.text)) return true;
  }
  op = tokens_.at_name("in") ? Comparison::kIn : Comparison::kNotIn;
  return tokens_.at_name("in") ||
         (tokens_.at_name("not") && tokens_.next().kind == TokenKind::kName && tokens_.next().text == "in");
}

Result<ExpressionPtr> ExpressionParser::parse_comparison() {
  const int line = tokens_.line();
  CARAT_TRY(ExpressionPtr first, parse_sum());
  int below = nesting(first);
  ComparisonChain chain{std::move(first), {}};
  Comparison op;
  while (at_comparison(op)) {
    tokens_.take();
    if (op == Comparison::kNotIn) tokens_.take();
    CARAT_TRY(ExpressionPtr operand, parse_sum());
    below = std::max(below, nesting(operand));
    chain.rest.emplace_back(op, std::move(operand));
  }
  if (chain.rest.empty()) return std::move(chain.first);
  return make(line, std::move(chain), below);
}

Result<ExpressionPtr> ExpressionParser::parse_sum() {
  CARAT_TRY(ExpressionPtr left, parse_concatenation());
  while (true) {
    const int line = tokens_.line();
    const OperatorName* found = take_one_of(tokens_, kSums);
    if (!found) return left;
    CARAT_TRY(ExpressionPtr right, parse_concatenation());
    const int below = std::max(nesting(left), nesting(right));
    CARAT_TRY(left, make(line, Arithmetic{found->op, std::move(left), std::move(right)}, below));
  }
}

// `~` binds more tightly than `+` and less tightly than `*`.
Result<ExpressionPtr> ExpressionParser::parse_concatenation() {
  const int line = tokens_.line();
  CARAT_TRY(ExpressionPtr first, parse_product());
  if (!tokens_.at_operator("~")) return first;
  Concatenation concatenation;
  concatenation.parts.push_back(std::move(first));
  while (tokens_.take_operator("~")) {
    CARAT_TRY(ExpressionPtr part, parse_product());
    concatenation.parts.push_back(std::move(part));
  }
  const int below = nesting(concatenation.parts);
  return make(line, std::move(concatenation), below);
}

Result<ExpressionPtr> ExpressionParser::parse_product() {
  CARAT_TRY(ExpressionPtr left, parse_power());
  while (true) {
    const int line = tokens_.line();
    const OperatorName* found = take_one_of(tokens_, kProducts);
    if (!found) return left;
    CARAT_TRY(ExpressionPtr right, parse_power());
    const int below = std::max(nesting(left), nesting(right));
    CARAT_TRY(left, make(line, Arithmetic{found->op, std::move(left), std::move(right)}, below));
  }
}

// Unlike in Python, powers associate to the left and a sign binds more tightly.
Result<ExpressionPtr> ExpressionParser::parse_power() {
  CARAT_TRY(ExpressionPtr left, parse_unary());
  while (true) {
    const int line = tokens_.line();
    const OperatorName* found = take_one_of(tokens_, kPowers);
    if (!found) return left;
    CARAT_TRY(ExpressionPtr right, parse_unary());
    const int below = std::max(nesting(left), nesting(right));
    CARAT_TRY(left, make(line, Arithmetic{found->op, std::move(left), std::move(right)}, below));
  }
}

Result<ExpressionPtr> ExpressionParser::parse_unary() { return parse_signed(true); }

Result<ExpressionPtr> ExpressionParser::parse_signed(bool with_filters) {
  if (depth_ >= kMaxNesting) return tokens_.error(tokens_.line(), "expressions are nested too deeply");
  const int line = tokens_.line();
  ExpressionPtr value;
  if (tokens_.at_operator("-") || tokens_.at_operator("+")) {
    const bool minus = tokens_.take().text == "-";
    ++depth_;
    Result<ExpressionPtr> operand = parse_signed(false);
    --depth_;
    if (!operand.ok()) return operand;
    const int below = nesting(*operand);
    CARAT_TRY(value, make(line, Sign{minus, std::move(*operand)}, below));
  } else {
    CARAT_TRY(value, parse_primary());
  }
  CARAT_TRY(value, parse_postfix(std::move(value)));
  return with_filters ? parse_filters_and_tests(std::move(value)) : Result<ExpressionPtr>(std::move(value));
}

Result<ExpressionPtr> ExpressionParser::parse_primary() {
  const Token& token = tokens_.current();
  switch (token.kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kInteger:
      return make(token.line, Constant{{tokens_.take().integer}}, 0);
    case TokenKind::kFloat:
      return make(token.line, Constant{{tokens_.take().number}}, 0);
    default:
      break;
  }
  if (tokens_.at_operator("[")) return parse_list();
  if (tokens_.at_operator("{")) return parse_dict();
  if (!tokens_.take_operator("(")) return tokens_.unexpected("an expression");
  if (depth_ >= kMaxNesting) return tokens_.error(token.line, "expressions are nested too deeply");
  CARAT_TRY(ExpressionPtr value, parse_tuple());
  CARAT_TRY_STATUS(tokens_.expect_operator(")"));
  return value;
}

void ExpressionParser::count_name(std::string_view name) {
  names_read_.loop += name == "loop";
  names_read_.varargs += name == "varargs";
  names_read_.kwargs += name == "kwargs";
  names_read_.caller += name == "caller";
}

Result<ExpressionPtr> ExpressionParser::parse_name() {
  const Token& token = tokens_.take();
  if (token.text == "true" || token.text == "True") return make(token.line, Constant{{true}}, 0);
  if (token.text == "false" || token.text == "False") return make(token.line, Constant{{false}}, 0);
  if (token.text == "none" || token.text == "None") return make(token.line, Constant{{None{}}}, 0);
  count_name(token.text);
  return make(token.line, Name{token.text}, 0);
}

// Strings that stand side by side are one.
Result<ExpressionPtr> ExpressionParser::parse_string() {
  const int line = tokens_.line();
  std::string text;
  while (tokens_.current().kind == TokenKind::kString) text += tokens_.take().text;
  return make(line, Constant{{std::make_shared<const std::string>(std::move(text))}}, 0);
}

Result<ExpressionPtr> ExpressionParser::parse_list() {
  const int line = tokens_.take().line;
  ListLiteral list{Sequence::Kind::kList, {}};
  while (!tokens_.at_operator("]")) {
    CARAT_TRY(ExpressionPtr item, parse());
    list.items.push_back(std::move(item));
    if (!tokens_.take_operator(",")) break;
  }
  CARAT_TRY_STATUS(tokens_.expect_operator("]"));
  const int below = nesting(list.items);
  return make(line, std::move(list), below);
}

Result<ExpressionPtr> ExpressionParser::parse_dict() {
  const int line = tokens_.take().line;
  DictLiteral dict;
  int below = 0;
  while (!tokens_.at_operator("}")) {
    CARAT_TRY(ExpressionPtr key, parse());
    CARAT_TRY_STATUS(tokens_.expect_operator(":"));
    CARAT_TRY(ExpressionPtr value, parse());
    below = std::max({below, nesting(key), nesting(value)});
    dict.entries.emplace_back(std::move(key), std::move(value));
    if (!tokens_.take_operator(",")) break;
  }
  CARAT_TRY_STATUS(tokens_.expect_operator("}"));
  return make(line, std::move(dict), below);
}

Result<ExpressionPtr> ExpressionParser::parse_postfix(ExpressionPtr object) {
  while (true) {
    if (tokens_.at_operator(".")) {
      CARAT_TRY(object, parse_attribute(std::move(object)));
    } else if (tokens_.at_operator("[")) {
      CARAT_TRY(object, parse_subscript(std::move(object)));
    } else if (tokens_.at_operator("(")) {
      CARAT_TRY(object, parse_call(std::move(object)));
    } else {
      return object;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::parse_filters_and_tests(ExpressionPtr input) {
  while (true) {
    if (tokens_.at_operator("|")) {
      CARAT_TRY(input, parse_filters(std::move(input)));
    } else if (tokens_.at_name("is")) {
      CARAT_TRY(input, parse_test(std::move(input)));
    } else if (tokens_.at_operator("(")) {
      CARAT_TRY(input, parse_call(std::move(input)));
    } else {
      return input;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::parse_attribute(ExpressionPtr object) {
  const int line = tokens_.take().line;
  const int below = nesting(object);
  if (tokens_.current().kind == TokenKind::kInteger) {
    CARAT_TRY(ExpressionPtr key, make(line, Constant{{tokens_.take().integer}}, 0));
    return make(line, ItemAccess{std::move(object), std::move(key)}, below);
  }
  CARAT_TRY(std::string name, tokens_.take_identifier("the name of an attribute"));
  return make(line, AttributeAccess{std::move(object), std::move(name)}, below);
}

Result<ExpressionPtr> ExpressionParser::parse_subscript(ExpressionPtr object) {
  const int line = tokens_.take().line;
  ExpressionPtr key;
  if (!tokens_.at_operator(":")) {
    CARAT_TRY(key, parse());
  }
  if (tokens_.at_operator(":")) return parse_slice(std::move(object), std::move(key), line);
  CARAT_TRY_STATUS(tokens_.expect_operator("]"));
  const int below = std::max(nesting(object), nesting(key));
  return make(line, ItemAccess{std::move(object), std::move(key)}, below);
}

Result<ExpressionPtr> ExpressionParser::parse_slice_end() {
  if (tokens_.at_operator(":") || tokens_.at_operator("]")) return ExpressionPtr();
  return parse();
}

Result<ExpressionPtr> ExpressionParser::parse_slice(ExpressionPtr object, ExpressionPtr start, int line) {
  CARAT_TRY_STATUS(tokens_.expect_operator(":"));
  CARAT_TRY(ExpressionPtr stop, parse_slice_end());
  ExpressionPtr step;
  if (tokens_.take_operator(":")) {
    CARAT_TRY(step, parse_slice_end());
  }
  CARAT_TRY_STATUS(tokens_.expect_operator("]"));
  const int below = std::max({nesting(object), nesting(start), nesting(stop), nesting(step)});
  return make(line, SliceAccess{std::move(object), std::move(start), std::move(stop), std::move(step)}, below);
}

Status ExpressionParser::parse_argument(CallArguments& arguments) {
  const bool closed = arguments.star || arguments.double_star;
  if (tokens_.at_operator("*") && !closed) {
    tokens_.take();
    CARAT_TRY(arguments.star, parse());
    return success();
  }
  if (tokens_.at_operator("**") && !arguments.double_star) {
    tokens_.take();
    CARAT_TRY(arguments.double_star, parse());
    return success();
  }
  const Token& next = tokens_.next();
  if (tokens_.current().kind == TokenKind::kName && next.kind == TokenKind::kOperator && next.text == "=" &&
      !arguments.double_star) {
    std::string name = tokens_.take().text;
    tokens_.take();
    CARAT_TRY(ExpressionPtr value, parse());
    arguments.named.emplace_back(std::move(name), std::move(value));
    return success();
  }
  if (closed || !arguments.named.empty()) return tokens_.unexpected("no further argument of that kind");
  CARAT_TRY(ExpressionPtr value, parse());
  arguments.positional.push_back(std::move(value));
  return success();
}

Result<CallArguments> ExpressionParser::parse_arguments() {
  CARAT_TRY_STATUS(tokens_.expect_operator("("));
  CallArguments arguments;
  while (!tokens_.at_operator(")")) {
    CARAT_TRY_STATUS(parse_argument(arguments));
    if (!tokens_.take_operator(",")) break;
  }
  CARAT_TRY_STATUS(tokens_.expect_operator(")"));
  return arguments;
}

Result<ExpressionPtr> ExpressionParser::parse_call(ExpressionPtr callee) {
  const int line = tokens_.line();
  CARAT_TRY(CallArguments arguments, parse_arguments());
  const int below = std::max(nesting(callee), nesting(arguments));
  return make(line, Call{std::move(callee), std::move(arguments)}, below);
}

Result<ExpressionPtr> ExpressionParser::parse_filter(ExpressionPtr input) {
  const int line = tokens_.line();
  CARAT_TRY(std::string name, tokens_.take_identifier("the name of a filter"));
  CallArguments arguments;
  if (tokens_.at_operator("(")) {
    CARAT_TRY(arguments, parse_arguments());
  }
  const int below = std::max(nesting(input), nesting(arguments));
  return make(line, FilterCall{std::move(input), std::move(name), std::move(arguments)}, below);
}

Result<ExpressionPtr> ExpressionParser::parse_filters(ExpressionPtr input) {
  while (tokens_.take_operator("|")) {
    CARAT_TRY(input, parse_filter(std::move(input)));
  }
  return input;
}

Result<ExpressionPtr> ExpressionParser::parse_filter_tag() {
  CARAT_TRY(ExpressionPtr filter, parse_filter(nullptr));
  return parse_filters(std::move(filter));
}

// A test takes one argument without brackets.
bool ExpressionParser::at_test_argument() const {
  switch (tokens_.current().kind) {
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    case TokenKind::kName:
      return !tokens_.at_name("else") && !tokens_.at_name("or") && !tokens_.at_name("and");
    default:
      return tokens_.at_operator("[") || tokens_.at_operator("{");
  }
}

Result<ExpressionPtr> ExpressionParser::parse_test(ExpressionPtr input) {
  const int line = tokens_.take().line;
  const bool negated = tokens_.take_name("not");
  CARAT_TRY(std::string name, tokens_.take_identifier("the name of a test"));
  CallArguments arguments;
  if (tokens_.at_operator("(")) {
    CARAT_TRY(arguments, parse_arguments());
  } else if (at_test_argument()) {
    if (tokens_.at_name("is")) return tokens_.unexpected("no second test; put the first one in brackets");
    CARAT_TRY(ExpressionPtr argument, parse_primary());
    CARAT_TRY(argument, parse_postfix(std::move(argument)));
    arguments.positional.push_back(std::move(argument));
  }
  const int below = std::max(nesting(input), nesting(arguments));
  CARAT_TRY(ExpressionPtr test, make(line, TestCall{std::move(input), std::move(name), std::move(arguments)}, below));
  return negated ? make(line, Negation{std::move(test)}, below + 1) : Result<ExpressionPtr>(std::move(test));
}

}  // namespace carat::jinja
