#include "text/jinja_parser.h"

#include <algorithm>
#include <initializer_list>

#include "text/jinja_expression_parser.h"
#include "text/jinja_format.h"
#include "text/jinja_tokens.h"

namespace carat::jinja {
namespace {

using Ends = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(TokenReader& tokens) : tokens_(tokens), expressions_(tokens) {}

  Result<Body> parse_all() { return parse_until({}); }

 private:
  // Statements up to the tag that begins with one of `ends`, whose name is then the current token; without `ends`, up
  // to the end of the template.
  Result<Body> parse_until(Ends ends) {
    Body body;
    while (tokens_.current().kind != TokenKind::kEnd) {
      if (tokens_.current().kind == TokenKind::kBlockOpen && is_one_of(tokens_.next(), ends)) {
        tokens_.take();
        return body;
      }
      CARAT_TRY(Statement statement, parse_statement());
      body.push_back(std::move(statement));
    }
    if (ends.size() == 0) return body;
    return tokens_.unexpected("\"{% " + std::string(*(ends.end() - 1)) + " %}\"");
  }

  static bool is_one_of(const Token& token, Ends names) {
    return token.kind == TokenKind::kName && std::ranges::count(names, token.text) > 0;
  }

  // The body of a statement whose tag ends here, and the name of its last tag, which is consumed.
  Result<Body> parse_block(std::string_view end) {
    CARAT_TRY(Body body, parse_inner({end}));
    tokens_.take();
    return body;
  }

  Result<Body> parse_inner(Ends ends) {
    tokens_.take_operator(":");
    CARAT_TRY_STATUS(close_tag());
    if (depth_ >= kMaxNesting) return tokens_.error(tokens_.line(), "statements are nested too deeply");
    ++depth_;
    Result<Body> body = parse_until(ends);
    --depth_;
    return body;
  }

  Status close_tag() { return tokens_.expect(TokenKind::kBlockClose, "\"%}\""); }

  Result<Statement> parse_statement() {
    const int line = tokens_.line();
    if (tokens_.current().kind == TokenKind::kText) return Statement{line, PlainText{tokens_.take().text}};
    if (tokens_.current().kind == TokenKind::kOutputOpen) return parse_output(line);
    CARAT_TRY_STATUS(tokens_.expect(TokenKind::kBlockOpen, "text or a tag"));
    CARAT_TRY(Statement statement, parse_tag(line));
    CARAT_TRY_STATUS(close_tag());
    return statement;
  }

  Result<Statement> parse_output(int line) {
    tokens_.take();
    CARAT_TRY(ExpressionPtr value, expressions_.parse_tuple());
    CARAT_TRY_STATUS(tokens_.expect(TokenKind::kOutputClose, "\"}}\""));
    return Statement{line, Output{std::move(value)}};
  }

  Result<Statement> parse_tag(int line) {
    using ParseTag = Result<Statement> (Parser::*)(int);
    struct Tag {
      std::string_view name;
      ParseTag parse;
    };
    constexpr Tag kTags[] = {{"set", &Parser::parse_set},     {"if", &Parser::parse_if},
                             {"for", &Parser::parse_for},     {"macro", &Parser::parse_macro},
                             {"call", &Parser::parse_call},   {"filter", &Parser::parse_filter},
                             {"with", &Parser::parse_with},   {"generation", &Parser::parse_generation},
                             {"break", &Parser::parse_break}, {"continue", &Parser::parse_continue}};
    for (const Tag& tag : kTags) {
      if (tokens_.take_name(tag.name)) return (this->*tag.parse)(line);
    }
    return tokens_.unexpected("the name of a statement that is supported here");
  }

  Result<Target> parse_target_part(bool with_attribute) {
    Target target;
    if (tokens_.take_operator("(")) {
      if (depth_ >= kMaxNesting) return tokens_.error(tokens_.line(), "names are nested too deeply");
      ++depth_;
      Result<Target> inner = parse_target(with_attribute);
      --depth_;
      if (inner.ok()) CARAT_TRY_STATUS(tokens_.expect_operator(")"));
      return inner;
    }
    CARAT_TRY(target.name, tokens_.take_identifier("a name to assign to"));
    constexpr std::string_view kConstants[] = {"true", "false", "none", "True", "False", "None"};
    if (std::ranges::count(kConstants, target.name)) {
      return tokens_.error(tokens_.line(), "found " + quoted(target.name) + ", expected a name to assign to");
    }
    if (with_attribute && tokens_.take_operator(".")) {
      CARAT_TRY(target.attribute, tokens_.take_identifier("the name of an attribute"));
    }
    return target;
  }

  Result<Target> parse_target(bool with_attribute) {
    CARAT_TRY(Target first, parse_target_part(with_attribute));
    if (!tokens_.at_operator(",")) return first;
    Target tuple;
    tuple.parts.push_back(std::move(first));
    while (tokens_.take_operator(",")) {
      if (tokens_.current().kind != TokenKind::kName && !tokens_.at_operator("(")) break;
      if (tokens_.at_name("in")) break;
      CARAT_TRY(Target part, parse_target_part(with_attribute));
      tuple.parts.push_back(std::move(part));
    }
    return tuple;
  }

  Result<Statement> parse_set(int line) {
    CARAT_TRY(Target target, parse_target(true));
    if (tokens_.take_operator("=")) {
      CARAT_TRY(ExpressionPtr value, expressions_.parse_tuple());
      return Statement{line, Assignment{std::move(target), std::move(value)}};
    }
    ExpressionPtr filter;
    if (tokens_.take_operator("|")) {
      CARAT_TRY(filter, expressions_.parse_filter_tag());
    }
    CARAT_TRY(Body body, parse_block("endset"));
    return Statement{line, BlockAssignment{std::move(target), std::move(filter), std::move(body)}};
  }

  Result<Statement> parse_if(int line) {
    If statement;
    std::string tag = "elif";
    while (tag == "elif") {
      CARAT_TRY(ExpressionPtr condition, expressions_.parse_tuple(false));
      CARAT_TRY(Body body, parse_inner({"elif", "else", "endif"}));
      statement.branches.emplace_back(std::move(condition), std::move(body));
      tag = tokens_.take().text;
    }
    if (tag == "else") {
      CARAT_TRY(statement.otherwise, parse_block("endif"));
    }
    return Statement{line, std::move(statement)};
  }

  Result<Statement> parse_for(int line) {
    For statement;
    CARAT_TRY(statement.target, parse_target(false));
    CARAT_TRY_STATUS(tokens_.expect_name("in"));
    CARAT_TRY(statement.items, expressions_.parse_tuple(false));
    if (tokens_.take_name("if")) {
      CARAT_TRY(statement.filter, expressions_.parse());
    }
    const int loops_read = expressions_.names_read().loop;
    ++open_loops_;
    CARAT_TRY(statement.body, parse_inner({"else", "endfor"}));
    --open_loops_;
    statement.uses_loop = expressions_.names_read().loop > loops_read;
    if (tokens_.take().text == "else") {
      CARAT_TRY(statement.otherwise, parse_block("endfor"));
    }
    return Statement{line, std::move(statement)};
  }

  Status parse_parameters(MacroDefinition& macro) {
    CARAT_TRY_STATUS(tokens_.expect_operator("("));
    while (!tokens_.at_operator(")")) {
      CARAT_TRY(std::string parameter, tokens_.take_identifier("the name of a parameter"));
      macro.parameters.push_back(std::move(parameter));
      if (tokens_.take_operator("=")) {
        CARAT_TRY(ExpressionPtr value, expressions_.parse());
        macro.defaults.push_back(std::move(value));
      } else if (!macro.defaults.empty()) {
        return tokens_.unexpected("\"=\": a default, as the parameter before it has one");
      }
      if (!tokens_.take_operator(",")) break;
    }
    return tokens_.expect_operator(")");
  }

  // A loop around a macro is not its own.
  Status parse_macro_body(MacroDefinition& macro, std::string_view end) {
    const ExpressionParser::NamesRead before = expressions_.names_read();
    const int open_loops = std::exchange(open_loops_, 0);
    CARAT_TRY(macro.body, parse_block(end));
    open_loops_ = open_loops;
    const ExpressionParser::NamesRead& after = expressions_.names_read();
    macro.uses_varargs = after.varargs > before.varargs;
    macro.uses_kwargs = after.kwargs > before.kwargs;
    macro.uses_caller = after.caller > before.caller;
    return success();
  }

  Result<Statement> parse_macro(int line) {
    auto macro = std::make_unique<MacroDefinition>();
    CARAT_TRY(macro->name, tokens_.take_identifier("the name of a macro"));
    CARAT_TRY_STATUS(parse_parameters(*macro));
    CARAT_TRY_STATUS(parse_macro_body(*macro, "endmacro"));
    return Statement{line, MacroStatement{std::move(macro)}};
  }

  Result<Statement> parse_call(int line) {
    auto caller = std::make_unique<MacroDefinition>();
    caller->name = "caller";
    if (tokens_.at_operator("(")) CARAT_TRY_STATUS(parse_parameters(*caller));
    CARAT_TRY(ExpressionPtr call, expressions_.parse());
    if (!std::holds_alternative<Call>(call->node)) return tokens_.error(line, "found an expression, expected a call");
    CARAT_TRY_STATUS(parse_macro_body(*caller, "endcall"));
    return Statement{line, CallBlock{std::move(caller), std::move(call)}};
  }

  Result<Statement> parse_filter(int line) {
    CARAT_TRY(ExpressionPtr filter, expressions_.parse_filter_tag());
    CARAT_TRY(Body body, parse_block("endfilter"));
    return Statement{line, FilterBlock{std::move(filter), std::move(body)}};
  }

  Result<Statement> parse_with(int line) {
    With with;
    while (tokens_.current().kind != TokenKind::kBlockClose) {
      CARAT_TRY(Target target, parse_target_part(false));
      CARAT_TRY_STATUS(tokens_.expect_operator("="));
      CARAT_TRY(ExpressionPtr value, expressions_.parse());
      with.variables.emplace_back(std::move(target), std::move(value));
      if (!tokens_.take_operator(",")) break;
    }
    CARAT_TRY(with.body, parse_block("endwith"));
    return Statement{line, std::move(with)};
  }

  Result<Statement> parse_generation(int line) {
    With scope;
    CARAT_TRY(scope.body, parse_block("endgeneration"));
    return Statement{line, std::move(scope)};
  }

  Result<Statement> parse_break(int line) {
    if (open_loops_ == 0) return tokens_.error(line, "found \"break\" outside of a loop");
    return Statement{line, Break{}};
  }

  Result<Statement> parse_continue(int line) {
    if (open_loops_ == 0) return tokens_.error(line, "found \"continue\" outside of a loop");
    return Statement{line, Continue{}};
  }

  TokenReader& tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int open_loops_ = 0;
};

}  // namespace

Result<Document> parse_document(std::string_view text, const std::string& source) {
  CARAT_TRY(const std::vector<Token> tokens, tokenize(text, source));
  TokenReader reader(tokens, source);
  CARAT_TRY(Body body, Parser(reader).parse_all());
  return Document{source, std::move(body)};
}

}  // namespace carat::jinja
