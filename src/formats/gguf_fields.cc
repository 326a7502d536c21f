#include "formats/gguf_fields.h"

#include <array>

#include "formats/quote.h"

namespace carat {

namespace {

constexpr std::array<std::string_view, 13> kTypeNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                         "bool", "string", "array", "u64", "i64", "f64"};

std::string_view type_name(GgufType type) { return kTypeNames[static_cast<size_t>(type)]; }

std::string described(const GgufValue& value) {
  std::string type(type_name(value.type));
  if (const auto* text = std::get_if<std::string_view>(&value.value)) return type + " " + in_quotes(*text);
  if (const auto* array = std::get_if<GgufArray>(&value.value)) type += " of " + std::string(type_name(array->type()));
  return type;
}

}  // namespace

GgufFields::GgufFields(const std::vector<GgufEntry>& entries, std::string source)
    : entries_(entries), source_(std::move(source)) {}

Error GgufFields::refusal(std::string_view key, const std::string& message) const {
  return refused(source_ + ": " + printable(key) + ": " + message);
}

const GgufValue* GgufFields::find(std::string_view key) const {
  for (const GgufEntry& entry : entries_) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

bool GgufFields::is_array(std::string_view key) const {
  const GgufValue* found = find(key);
  return found != nullptr && found->type == GgufType::kArray;
}

Result<const GgufValue*> GgufFields::value(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return refusal(key, "is missing");
  return found;
}

Result<int64_t> GgufFields::integer(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (!is_integer(found->type) || found->type == GgufType::kBool) {
    return refusal(key, "expected an integer, found " + described(*found));
  }
  const auto number = std::get<int64_t>(found->value);
  if (found->type == GgufType::kU64 && number < 0) return refusal(key, "is too large");
  return number;
}

Result<double> GgufFields::number(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (!is_float(found->type)) return refusal(key, "expected a float, found " + described(*found));
  return std::get<double>(found->value);
}

Result<std::string> GgufFields::text(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (found->type != GgufType::kString) return refusal(key, "expected a string, found " + described(*found));
  return std::string(std::get<std::string_view>(found->value));
}

Result<int64_t> GgufFields::integer(std::string_view key, int64_t fallback) const {
  return has(key) ? integer(key) : Result<int64_t>(fallback);
}

Result<double> GgufFields::number(std::string_view key, double fallback) const {
  return has(key) ? number(key) : Result<double>(fallback);
}

Result<std::string> GgufFields::text(std::string_view key, const std::string& fallback) const {
  return has(key) ? text(key) : Result<std::string>(fallback);
}

Result<const GgufArray*> GgufFields::array(std::string_view key, bool (*accepts)(GgufType),
                                           const std::string& elements) const {
  CARAT_TRY(const GgufValue* found, value(key));
  const auto* array = std::get_if<GgufArray>(&found->value);
  if (array != nullptr && accepts(array->type())) return array;
  return refusal(key, "expected an array of " + elements + ", found " + described(*found));
}

Result<const GgufArray*> GgufFields::integers(std::string_view key) const {
  return array(key, is_integer, "integers or booleans");
}

Result<const GgufArray*> GgufFields::numbers(std::string_view key) const { return array(key, is_float, "floats"); }

Result<const GgufArray*> GgufFields::texts(std::string_view key) const {
  return array(
      key, [](GgufType type) { return type == GgufType::kString; }, "strings");
}

Result<std::vector<int64_t>> GgufFields::per_layer(std::string_view key, size_t layers) const {
  if (!is_array(key)) {
    CARAT_TRY(const int64_t one, integer(key));
    return std::vector<int64_t>(layers, one);
  }
  CARAT_TRY(const GgufArray* all, integers(key));
  if (all->size() != layers) {
    return refusal(key, "expected one entry for each of " + std::to_string(layers) + " layers, found " +
                            std::to_string(all->size()));
  }
  std::vector<int64_t> values;
  for (size_t i = 0; i < layers; ++i) values.push_back(all->integer(i));
  return values;
}

}  // namespace carat
