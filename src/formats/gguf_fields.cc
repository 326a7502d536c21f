#include "formats/gguf_fields.h"

#include "formats/quote.h"

namespace carat {

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

Result<const GgufValue*> GgufFields::value(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return refusal(key, "is missing");
  return found;
}

Result<int64_t> GgufFields::integer(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (!is_integer(found->type)) return refusal(key, "expected an integer");
  return std::get<int64_t>(found->value);
}

Result<double> GgufFields::number(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (!is_float(found->type)) return refusal(key, "expected a float");
  return std::get<double>(found->value);
}

Result<std::string> GgufFields::text(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (found->type != GgufType::kString) return refusal(key, "expected a string");
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

Result<const GgufArray*> GgufFields::array(std::string_view key) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (found->type != GgufType::kArray) return refusal(key, "expected an array");
  return &std::get<GgufArray>(found->value);
}

Result<const GgufArray*> GgufFields::integers(std::string_view key) const {
  CARAT_TRY(const GgufArray* found, array(key));
  if (!is_integer(found->type())) return refusal(key, "expected an array of integers or booleans");
  return found;
}

Result<const GgufArray*> GgufFields::numbers(std::string_view key) const {
  CARAT_TRY(const GgufArray* found, array(key));
  if (!is_float(found->type())) return refusal(key, "expected an array of floats");
  return found;
}

Result<const GgufArray*> GgufFields::texts(std::string_view key) const {
  CARAT_TRY(const GgufArray* found, array(key));
  if (found->type() != GgufType::kString) return refusal(key, "expected an array of strings");
  return found;
}

Result<std::vector<int64_t>> GgufFields::per_layer(std::string_view key, size_t layers) const {
  CARAT_TRY(const GgufValue* found, value(key));
  if (found->type != GgufType::kArray) {
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
