#include "formats/mlx_rules.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

#include "formats/quote.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kGroupSize = "group_size";
constexpr const char* kBits = "bits";
constexpr const char* kMode = "mode";
constexpr std::array<std::string_view, 3> kSettings = {kGroupSize, kBits, kMode};

bool is_setting(std::string_view key) { return std::ranges::find(kSettings, key) != kSettings.end(); }

std::string found_text(const Json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  return value.is_number() || value.is_boolean() ? value.dump() : value.type_name();
}

Result<int64_t> choice(const Json& settings, const char* key, std::initializer_list<int64_t> choices,
                       const std::string& place, const char* expected) {
  const auto found = settings.find(key);
  if (found != settings.end() && found->is_number_integer()) {
    for (const int64_t value : choices) {
      if (*found == value) return value;
    }
  }
  return refused(place + "." + key + ": found " + (found == settings.end() ? "nothing" : found_text(*found)) +
                 ", expected " + expected);
}

Result<MlxCodes> read_settings(const Json& settings, const std::string& place) {
  MlxCodes codes;
  CARAT_TRY(codes.columns, choice(settings, kGroupSize, {32, 64, 128}, place, "32, 64 or 128"));
  CARAT_TRY(codes.bits, choice(settings, kBits, {2, 3, 4, 5, 6, 8}, place, "2, 3, 4, 5, 6 or 8"));
  const auto mode = settings.find(kMode);
  if (mode == settings.end() || *mode == "affine") return codes;
  return refused(place + ".mode: found " + found_text(*mode) +
                 ", expected \"affine\"; take the model's F32, F16 or BF16 weights, or a GGUF file");
}

/// What the member of a module's name says.
Result<std::optional<MlxCodes>> read_module(const Json& value, const MlxCodes& most, const std::string& place) {
  if (value.is_boolean()) return value.get<bool>() ? std::optional(most) : std::nullopt;
  if (!value.is_object()) {
    return refused(place + ": found " + found_text(value) +
                   ", expected what is said of a module: true, false or an object");
  }
  for (const auto& [key, setting] : value.items()) {
    if (!is_setting(key)) return refused(place + "." + printable(key) + ": is no setting of affine codes");
  }
  CARAT_TRY(const MlxCodes codes, read_settings(value, place));
  return std::optional(codes);
}

}  // namespace

Result<MlxRules> MlxRules::read(const Json& quantization, const std::string& source) {
  if (!quantization.is_object())
    return refused(source + ": found " + found_text(quantization) + ", expected an object");
  MlxRules rules;
  CARAT_TRY(rules.most_, read_settings(quantization, source));
  for (const auto& [module, value] : quantization.items()) {
    if (is_setting(module)) continue;
    CARAT_TRY(rules.named_[module], read_module(value, rules.most_, source + "." + printable(module)));
  }
  return rules;
}

std::optional<MlxCodes> MlxRules::codes_of(const std::string& module) const {
  const auto found = named_.find(module);
  return found == named_.end() ? most_ : found->second;
}

bool MlxRules::asks_for_codes(const std::string& module) const {
  const auto found = named_.find(module);
  return found != named_.end() && found->second.has_value();
}

}  // namespace carat
