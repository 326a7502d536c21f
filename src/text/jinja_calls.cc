#include <algorithm>

#include "formats/quote.h"
#include "text/jinja_evaluator.h"
#include "text/jinja_format.h"
#include "text/jinja_methods.h"

namespace carat::jinja {

Result<Arguments> Evaluator::evaluate_arguments(const CallArguments& arguments) {
  Arguments values;
  for (const ExpressionPtr& argument : arguments.positional) {
    CARAT_TRY(Value value, evaluate(*argument));
    values.positional.push_back(std::move(value));
  }
  for (const auto& [name, argument] : arguments.named) {
    CARAT_TRY(Value value, evaluate(*argument));
    values.named.emplace_back(name, std::move(value));
  }
  if (arguments.star) {
    CARAT_TRY(const Value star, evaluate(*arguments.star));
    CARAT_TRY(const std::vector<Value> items, elements(star, budget_));
    values.positional.insert(values.positional.end(), items.begin(), items.end());
  }
  if (arguments.double_star) CARAT_TRY_STATUS(add_double_star(*arguments.double_star, values));
  return values;
}

Status Evaluator::add_double_star(const Expression& expression, Arguments& arguments) {
  CARAT_TRY(const Value value, evaluate(expression));
  const Dict* dict = value.dict();
  if (!dict) return refused("argument after ** must be a mapping, not " + std::string(type_name(value)));
  if (!budget_.spend(dict->entries.size() * 4)) return out_of_budget();
  for (const auto& [key, item] : dict->entries) {
    if (!key.text()) return refused("keywords must be strings");
    arguments.named.emplace_back(*key.text(), item);
  }
  return success();
}

Result<Value> Evaluator::value_of(const Call& node) {
  CARAT_TRY(const Value callee, evaluate(*node.callee));
  CARAT_TRY(const Arguments arguments, evaluate_arguments(node.arguments));
  return call(callee, arguments);
}

Result<Value> Evaluator::call(const Value& callee, const Arguments& arguments) {
  if (const Macro* macro = callee.as<Macro>()) return call_macro(*macro, arguments);
  if (const auto* method = callee.as<std::shared_ptr<const Method>>()) return call_method(**method, arguments, budget_);
  if (const Function* function = callee.as<Function>()) return call_function(*function, arguments);
  if (callee.undefined()) return undefined_error(callee);
  return refused("'" + std::string(type_name(callee)) + "' object is not callable");
}

Macro Evaluator::make_macro(const MacroDefinition& definition) {
  budget_.spend(16);
  if (remembered_.empty() || remembered_.back() != scope_) remembered_.push_back(scope_);
  return {&definition, scope_.get()};
}

Result<Value> Evaluator::call_macro(const Macro& macro, const Arguments& arguments) {
  const OpenScope scope(*this, macro.scope->shared_from_this());
  CARAT_TRY_STATUS(bind_parameters(*macro.definition, arguments));
  Value text;
  CARAT_TRY_STATUS(capture(macro.definition->body, text));
  return text;
}

Status Evaluator::bind_parameters(const MacroDefinition& macro, const Arguments& arguments) {
  const size_t positional = std::min(arguments.positional.size(), macro.parameters.size());
  for (size_t i = 0; i < positional; ++i) scope_->variables[macro.parameters[i]] = arguments.positional[i];
  CARAT_TRY_STATUS(bind_named(macro, arguments));
  CARAT_TRY_STATUS(bind_extras(macro, arguments));
  return fill_defaults(macro);
}

Status Evaluator::bind_named(const MacroDefinition& macro, const Arguments& arguments) {
  Dict others;
  for (const auto& [name, value] : arguments.named) {
    const auto parameter = std::ranges::find(macro.parameters, name);
    const bool known = parameter != macro.parameters.end() || (name == "caller" && macro.uses_caller);
    if (known && scope_->variables.contains(name)) {
      return refused("macro " + quoted(macro.name) + ": argument " + quoted(name) + " is given twice");
    }
    if (known) {
      scope_->variables[name] = value;
    } else if (macro.uses_kwargs) {
      CARAT_TRY_STATUS(set_entry(others, {std::make_shared<const std::string>(name)}, value, budget_));
    } else {
      return refused("macro " + quoted(macro.name) + " takes no argument named " + quoted(name));
    }
  }
  if (macro.uses_kwargs) {
    CARAT_TRY(scope_->variables["kwargs"], make_dict(std::move(others), budget_));
  }
  return success();
}

Status Evaluator::bind_extras(const MacroDefinition& macro, const Arguments& arguments) {
  const auto extras = arguments.positional.begin() +
                      static_cast<ptrdiff_t>(std::min(arguments.positional.size(), macro.parameters.size()));
  if (macro.uses_varargs) {
    const std::vector<Value> items(extras, arguments.positional.end());
    CARAT_TRY(scope_->variables["varargs"], make_sequence(Sequence::Kind::kTuple, items, budget_));
  } else if (extras != arguments.positional.end()) {
    return refused("macro " + quoted(macro.name) + " takes not more than " + std::to_string(macro.parameters.size()) +
                   " arguments");
  }
  if (macro.uses_caller) scope_->variables.try_emplace("caller", undefined("no caller defined"));
  return success();
}

// A default may use the parameters before it.
Status Evaluator::fill_defaults(const MacroDefinition& macro) {
  const size_t without_default = macro.parameters.size() - macro.defaults.size();
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const std::string& name = macro.parameters[i];
    if (scope_->variables.contains(name)) continue;
    Value value = undefined("parameter " + quoted(name) + " was not provided");
    if (i >= without_default) {
      CARAT_TRY(value, evaluate(*macro.defaults[i - without_default]));
    }
    scope_->variables[name] = std::move(value);
  }
  return success();
}

Result<Value> Evaluator::call_function(Function function, const Arguments& arguments) {
  switch (function) {
    case Function::kRange:
      return make_range(arguments);
    case Function::kDict: {
      CARAT_TRY(Dict dict, dict_of(arguments));
      return make_dict(std::move(dict), budget_);
    }
    case Function::kNamespace:
      return make_namespace(arguments);
    case Function::kRaiseException:
      break;
  }
  if (arguments.positional.size() != 1) return refused("raise_exception takes one message");
  CARAT_TRY(const std::string message, to_text(arguments.positional[0], budget_));
  return refused(carat::printable(message));
}

Result<Value> Evaluator::make_range(const Arguments& arguments) {
  std::vector<int64_t> numbers;
  for (const Value& argument : arguments.positional) {
    int64_t storage = 0;
    const int64_t* number = as_integer(argument, storage);
    if (!number && argument.undefined()) return undefined_error(argument);
    if (!number) return refused("range: an integer was expected, found '" + std::string(type_name(argument)) + "'");
    numbers.push_back(*number);
  }
  if (numbers.empty() || numbers.size() > 3 || !arguments.named.empty()) return refused("range takes 1 to 3 integers");
  const int64_t start = numbers.size() == 1 ? 0 : numbers[0];
  const int64_t stop = numbers.size() == 1 ? numbers[0] : numbers[1];
  const int64_t step = numbers.size() == 3 ? numbers[2] : 1;
  if (step == 0) return refused("range: the step must not be zero");
  std::vector<Value> items;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      return refused("range: more than " + std::to_string(kMaxRange) + " numbers");
    }
    items.push_back({at});
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return make_sequence(Sequence::Kind::kRange, std::move(items), budget_);
}

// `dict(mapping_or_pairs, name=value)`
Result<Dict> Evaluator::dict_of(const Arguments& arguments) {
  if (arguments.positional.size() > 1) return refused("dict: at most one positional argument is taken");
  Dict dict;
  if (!arguments.positional.empty() && arguments.positional[0].dict()) {
    dict = *arguments.positional[0].dict();
    if (!budget_.spend(dict.entries.size() * 4)) return out_of_budget();
  } else if (!arguments.positional.empty()) {
    CARAT_TRY(const std::vector<Value> pairs, elements(arguments.positional[0], budget_));
    for (const Value& pair : pairs) {
      CARAT_TRY(const std::vector<Value> entry, elements(pair, budget_));
      if (entry.size() != 2) return refused("dict: a pair of key and value was expected");
      CARAT_TRY_STATUS(set_entry(dict, entry[0], entry[1], budget_));
    }
  }
  for (const auto& [name, value] : arguments.named) {
    CARAT_TRY_STATUS(set_entry(dict, {std::make_shared<const std::string>(name)}, value, budget_));
  }
  return dict;
}

Result<Value> Evaluator::make_namespace(const Arguments& arguments) {
  CARAT_TRY(const Dict dict, dict_of(arguments));
  if (!budget_.spend(8)) return out_of_budget();
  auto space = std::make_unique<Namespace>();
  for (const auto& [key, value] : dict.entries) {
    if (!key.text()) return refused("namespace: the names of attributes must be strings");
    if (key.text()->starts_with('_'))
      return refused("namespace: " + quoted(*key.text()) + " begins with an underscore");
    space->attributes.emplace_back(*key.text(), value);
  }
  namespaces_.push_back(std::move(space));
  return Value{namespaces_.back().get()};
}

}  // namespace carat::jinja
