#include "text/jinja.h"

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "text/jinja_evaluator.h"
#include "text/jinja_parser.h"

namespace carat {
namespace {

using jinja::Budget;
using jinja::Value;
using Json = nlohmann::ordered_json;

Result<Value> value_of(const Json& json, int nesting, Budget& budget);

Result<Value> dict_of(const Json& json, int nesting, Budget& budget) {
  jinja::Dict dict;
  for (const auto& [key, item] : json.items()) {
    CARAT_TRY(Value name, jinja::make_text(to_valid_utf8(key), budget));
    CARAT_TRY(Value value, value_of(item, nesting + 1, budget));
    dict.entries.emplace_back(std::move(name), std::move(value));
  }
  return jinja::make_dict(std::move(dict), budget);
}

Result<Value> list_of(const Json& json, int nesting, Budget& budget) {
  std::vector<Value> items;
  for (const Json& item : json) {
    CARAT_TRY(Value value, value_of(item, nesting + 1, budget));
    items.push_back(std::move(value));
  }
  return jinja::make_sequence(jinja::Sequence::Kind::kList, std::move(items), budget);
}

Result<Value> value_of(const Json& json, int nesting, Budget& budget) {
  if (nesting > jinja::kMaxNesting) return wrong_usage("the variables of a chat template are nested too deeply");
  switch (json.type()) {
    case Json::value_t::null:
      return Value{jinja::None{}};
    case Json::value_t::boolean:
      return Value{json.get<bool>()};
    case Json::value_t::number_integer:
      return Value{json.get<int64_t>()};
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) return wrong_usage("a variable of a chat template exceeds 64 bits");
      return Value{json.get<int64_t>()};
    case Json::value_t::number_float:
      return Value{json.get<double>()};
    case Json::value_t::string:
      return jinja::make_text(to_valid_utf8(json.get_ref<const std::string&>()), budget);
    case Json::value_t::array:
      return list_of(json, nesting, budget);
    case Json::value_t::object:
      return dict_of(json, nesting, budget);
    default:
      return wrong_usage("a variable of a chat template is neither text, number, list nor dict");
  }
}

}  // namespace

Result<JinjaTemplate> JinjaTemplate::parse(std::string_view text, const std::string& source) {
  if (text.size() > jinja::kMaxTemplateBytes) {
    return refused(source + ": found a template of " + std::to_string(text.size()) + " bytes, expected at most " +
                   std::to_string(jinja::kMaxTemplateBytes));
  }
  if (!is_valid_utf8(text)) return refused(source + ": found a template that is no valid UTF-8");
  CARAT_TRY(jinja::Document document, jinja::parse_document(text, source));
  return JinjaTemplate(std::make_shared<const jinja::Document>(std::move(document)));
}

Result<std::string> JinjaTemplate::render(const nlohmann::ordered_json& variables) const {
  if (!variables.is_object()) return wrong_usage("the variables of a chat template must be a JSON object");
  Budget budget;
  const auto scope = std::make_shared<jinja::Scope>(nullptr);
  for (const auto& [name, item] : variables.items()) {
    CARAT_TRY(scope->variables[name], value_of(item, 0, budget));
  }
  return jinja::Evaluator(*document_, scope, budget).render();
}

}  // namespace carat
