#include "formats/provenance.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sha256.h"
#include "formats/json_fields.h"
#include "formats/quote.h"

namespace carat {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

bool is_text(std::string_view text) {
  return text.size() <= kLongestText && std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

Status check_text(const JsonFields& fields, const std::string& key, const std::string& text) {
  if (is_text(text)) return success();
  return fields.refusal(key, "expected at most " + std::to_string(kLongestText) +
                                 " printable characters of ASCII, found " + in_quotes(text));
}

Result<std::string> read_text(const JsonFields& fields, const char* key) {
  CARAT_TRY(std::string text, fields.text(key));
  CARAT_TRY_STATUS(check_text(fields, key, text));
  return text;
}

Result<Setting> read_setting(const JsonFields& recipe, const std::string& name, const json& value) {
  if (value.is_boolean()) return Setting(value.get<bool>());
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return Setting(value.get<uint64_t>());
  if (value.is_number_integer()) return Setting(value.get<int64_t>());
  if (value.is_number()) return Setting(value.get<double>());
  if (!value.is_string()) {
    return recipe.refusal(name, "expected a string, a number, true or false, found " + described(value));
  }
  const auto& text = value.get_ref<const std::string&>();
  CARAT_TRY_STATUS(check_text(recipe, name, text));
  return Setting(text);
}

Status read_recipe(const JsonFields& step, ProvenanceStep& out) {
  CARAT_TRY(const JsonFields recipe, step.object("recipe"));
  if (recipe.json().size() > kMostSettings) {
    return step.refusal("recipe", std::to_string(recipe.json().size()) + " settings, expected at most " +
                                      std::to_string(kMostSettings));
  }
  for (const auto& [name, value] : recipe.json().items()) {
    CARAT_TRY_STATUS(check_text(recipe, name, name));
    CARAT_TRY(out.recipe[name], read_setting(recipe, name, value));
  }
  return success();
}

Result<SourceFile> read_source(const JsonFields& fields) {
  SourceFile file;
  CARAT_TRY(file.name, read_text(fields, "name"));
  CARAT_TRY(const int64_t bytes, fields.integer("bytes"));
  if (bytes < 0) return fields.refusal("bytes", "expected 0 or more, found " + std::to_string(bytes));
  file.bytes = static_cast<uint64_t>(bytes);
  CARAT_TRY(file.sha256, fields.text("sha256"));
  if (is_sha256(file.sha256)) return file;
  return fields.refusal("sha256", "expected 64 hexadecimal digits, found " + in_quotes(file.sha256));
}

Status read_sources(const JsonFields& step, const std::string& path, ProvenanceStep& out) {
  CARAT_TRY(const json* sources, step.array("sources"));
  if (sources->size() > kMostSources) {
    return step.refusal("sources",
                        std::to_string(sources->size()) + " files, expected at most " + std::to_string(kMostSources));
  }
  for (size_t i = 0; i < sources->size(); ++i) {
    if (!(*sources)[i].is_object())
      return step.refusal("sources", "expected objects, found " + described((*sources)[i]));
    const JsonFields fields((*sources)[i], step.source(), path + "sources[" + std::to_string(i) + "].");
    CARAT_TRY(SourceFile file, read_source(fields));
    out.sources.push_back(std::move(file));
  }
  return success();
}

Result<ProvenanceStep> read_step(const json& value, const std::string& source, const std::string& name) {
  if (!value.is_object()) return refused(source + ": " + name + ": expected an object, found " + described(value));
  const JsonFields fields(value, source, name + ".");
  ProvenanceStep step;
  CARAT_TRY(step.tool, read_text(fields, "tool"));
  CARAT_TRY(step.command, read_text(fields, "command"));
  CARAT_TRY(step.scheme, read_text(fields, "scheme"));
  CARAT_TRY_STATUS(read_recipe(fields, step));
  CARAT_TRY_STATUS(read_sources(fields, name + ".", step));
  return step;
}

ordered_json step_json(const ProvenanceStep& step) {
  ordered_json recipe = ordered_json::object();
  for (const auto& [name, setting] : step.recipe) {
    std::visit([&, &key = name](const auto& value) { recipe[key] = value; }, setting);
  }
  ordered_json sources = ordered_json::array();
  for (const SourceFile& file : step.sources) {
    sources.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  return {{"tool", step.tool},
          {"command", step.command},
          {"scheme", step.scheme},
          {"recipe", std::move(recipe)},
          {"sources", std::move(sources)}};
}

size_t size_of(const Provenance& provenance) { return provenance_to_json(provenance).dump().size(); }

std::map<std::string, Setting> printable_recipe(const std::map<std::string, Setting>& recipe) {
  std::map<std::string, Setting> shown;
  for (const auto& [name, setting] : recipe) {
    const auto* text = std::get_if<std::string>(&setting);
    const auto* number = std::get_if<double>(&setting);
    CARAT_CHECK(number == nullptr || std::isfinite(*number), "a setting is a finite number");
    shown[printable(name)] = text != nullptr ? Setting(printable(*text)) : setting;
  }
  return shown;
}

/// Within the limits of one step, which are such that one step is always within those of a history.
ProvenanceStep within_limits(ProvenanceStep step) {
  CARAT_CHECK(step.recipe.size() < kMostSettings, "there are few settings");
  for (std::string* text : {&step.tool, &step.command, &step.scheme}) *text = printable(*text);
  for (SourceFile& file : step.sources) file.name = printable(file.name);
  step.recipe = printable_recipe(step.recipe);
  if (step.sources.size() > kMostSources) {
    step.recipe["sources_left_out"] = static_cast<int64_t>(step.sources.size() - kMostSources);
    step.sources.resize(kMostSources);
  }
  return step;
}

}  // namespace

void add_step(Provenance& provenance, ProvenanceStep step) {
  provenance.push_back(within_limits(std::move(step)));
  while (provenance.size() > kMostSteps || (provenance.size() > 1 && size_of(provenance) > kLargestProvenance)) {
    provenance.erase(provenance.begin());
  }
}

ordered_json provenance_to_json(const Provenance& provenance) {
  ordered_json steps = ordered_json::array();
  for (const ProvenanceStep& step : provenance) steps.push_back(step_json(step));
  return steps;
}

Result<Provenance> provenance_from_json(const json& value, const std::string& source, const std::string& key) {
  const auto refusal = [&](const std::string& message) { return refused(source + ": " + key + ": " + message); };
  if (!value.is_array()) return refusal("expected an array of steps, found " + described(value));
  if (value.size() > kMostSteps) {
    return refusal(std::to_string(value.size()) + " steps, expected at most " + std::to_string(kMostSteps));
  }
  Provenance provenance;
  for (size_t i = 0; i < value.size(); ++i) {
    CARAT_TRY(ProvenanceStep step, read_step(value[i], source, key + "[" + std::to_string(i) + "]"));
    provenance.push_back(std::move(step));
  }
  const size_t bytes = size_of(provenance);
  if (bytes <= kLargestProvenance) return provenance;
  return refusal("has " + std::to_string(bytes) + " bytes, expected at most " + std::to_string(kLargestProvenance));
}

Result<Provenance> provenance_from_text(std::string_view text, const std::string& source, const std::string& key) {
  if (text.size() > kLargestProvenance) {
    return refused(source + ": " + key + ": has " + std::to_string(text.size()) + " bytes, expected at most " +
                   std::to_string(kLargestProvenance));
  }
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return refused(source + ": " + key + ": is no valid JSON");
  return provenance_from_json(parsed, source, key);
}

}  // namespace carat
