#include "formats/scheme_json.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/file_map.h"
#include "formats/json_fields.h"
#include "formats/model_config.h"
#include "formats/quote.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr DType kCodes[] = {DType::kI8, DType::kI4, DType::kI2};

std::optional<DType> lattice_of_name(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const bool known = can_encode(dtype) || std::ranges::find(kCodes, dtype) != std::end(kCodes);
    if (known && name == dtype_name(dtype)) return dtype;
  }
  return std::nullopt;
}

Status refuse_other_members(const JsonFields& fields, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : fields.json().items()) {
    if (std::ranges::find(known, std::string_view(key)) != known.end()) continue;
    std::string names;
    for (const std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
    return fields.refusal(key, "is unknown; the members are " + names);
  }
  return success();
}

/// What only codes have.
Status read_code_members(const JsonFields& fields, SchemeRule& rule) {
  CARAT_TRY(rule.static_range, fields.flag("static_range", false));
  CARAT_TRY(rule.group, fields.integer("group", 0));
  if (rule.group < 0 || rule.group > kWidestFfn) {
    return fields.refusal("group", "expected 0 (a whole row) to " + std::to_string(kWidestFfn) + " columns, found " +
                                       std::to_string(rule.group));
  }
  if (is_code_type(rule.lattice)) return success();
  for (const char* key : {"group", "static_range"}) {
    if (fields.has(key)) return fields.refusal(key, "needs a lattice of integer codes: I8, I4 or I2");
  }
  return success();
}

Result<SchemeRule> read_rule(const nlohmann::json& json, const std::string& source, size_t index) {
  const std::string path = "rules[" + std::to_string(index) + "]";
  if (!json.is_object()) return refused(source + ": " + path + ": expected an object of match and lattice");
  const JsonFields fields(json, source, path + ".");
  CARAT_TRY_STATUS(refuse_other_members(fields, {"match", "lattice", "group", "static_range"}));
  CARAT_TRY(std::string pattern, fields.text("match"));
  CARAT_TRY(const std::string name, fields.text("lattice"));
  const auto lattice = lattice_of_name(name);
  if (!lattice) {
    return fields.refusal("lattice", "expected one of the types that Carat can round to (" + encodable_names() +
                                         ", and the codes I8, I4, I2), found " + in_quotes(name));
  }
  SchemeRule rule = {.pattern = std::move(pattern), .lattice = *lattice};
  CARAT_TRY_STATUS(read_code_members(fields, rule));
  return rule;
}

}  // namespace

Result<Scheme> scheme_from_json(const std::string& text, const std::string& source) {
  CARAT_TRY(const nlohmann::json root, parse_json_object(text, source));
  const JsonFields fields(root, source);
  CARAT_TRY_STATUS(refuse_other_members(fields, {"name", "static_cache", "rules"}));
  Scheme scheme;
  CARAT_TRY(scheme.name, fields.text("name"));
  if (scheme.name.empty()) return fields.refusal("name", "expected a name");
  if (!is_printable(scheme.name)) {
    return fields.refusal("name", "expected at most 80 printable characters of ASCII, found " + in_quotes(scheme.name));
  }
  if (built_in_scheme(scheme.name) != nullptr || scheme.name == kMobileSchemeName) {
    return fields.refusal("name", in_quotes(scheme.name) + " is the name of a built-in scheme; choose another");
  }
  CARAT_TRY(scheme.static_cache, fields.flag("static_cache", false));
  CARAT_TRY(const nlohmann::json* rules, fields.array("rules"));
  for (size_t i = 0; i < rules->size(); ++i) {
    CARAT_TRY(SchemeRule rule, read_rule((*rules)[i], source, i));
    scheme.rules.push_back(std::move(rule));
  }
  return scheme;
}

std::string scheme_to_json(const Scheme& scheme) {
  std::string text = "{\"name\": " + nlohmann::json(scheme.name).dump() + ",\n";
  if (scheme.static_cache) text += " \"static_cache\": true,\n";
  std::string rules;
  for (const SchemeRule& rule : scheme.rules) {
    nlohmann::ordered_json json = {{"match", rule.pattern}, {"lattice", dtype_name(rule.lattice)}};
    if (rule.group != 0) json["group"] = rule.group;
    if (rule.static_range) json["static_range"] = true;
    rules += (rules.empty() ? "\n  " : ",\n  ") + json.dump();
  }
  return text + " \"rules\": [" + rules + "]}\n";
}

Result<Scheme> load_scheme(const std::string& name_or_path, const std::string& known) {
  if (const Scheme* scheme = built_in_scheme(name_or_path)) return *scheme;
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored)) {
    return wrong_usage(in_quotes(name_or_path) + ": no such scheme; expected one of " + known + ", or a JSON file");
  }
  CARAT_TRY(const std::string text, read_text_file(name_or_path, kSmallJsonLimit));
  return scheme_from_json(text, name_or_path);
}

}  // namespace carat
