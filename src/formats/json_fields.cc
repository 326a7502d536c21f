#include "formats/json_fields.h"

#include <charconv>

#include "formats/quote.h"

namespace carat {

std::string described(const nlohmann::json& value) {
  const std::string type = value.type_name();
  if (value.is_string()) return type + " " + in_quotes(value.get_ref<const std::string&>());
  return value.is_number() || value.is_boolean() ? type + " " + value.dump() : type;
}

Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& source) {
  nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return refused(source + ": is no valid JSON; copy the file again");
  if (!parsed.is_object()) {
    return refused(source + ": expected a JSON object, found JSON of type " + parsed.type_name());
  }
  return parsed;
}

double shortest_decimal(float value) {
  char digits[32];
  const auto written = std::to_chars(digits, digits + sizeof digits, value);
  double decimal = 0;
  std::from_chars(digits, written.ptr, decimal);
  return decimal;
}

JsonFields::JsonFields(const nlohmann::json& object, std::string source, std::string path)
    : object_(&object), source_(std::move(source)), path_(std::move(path)) {
  CARAT_CHECK(object.is_object(), "fields of something that is no JSON object");
}

Error JsonFields::refusal(const std::string& key, const std::string& message) const {
  return refused(source_ + ": " + path_ + printable(key) + ": " + message);
}

bool JsonFields::has(const char* key) const {
  const auto found = object_->find(key);
  return found != object_->end() && !found->is_null();
}

Result<const nlohmann::json*> JsonFields::member(const char* key) const {
  if (!has(key)) return refusal(key, "is missing");
  return &*object_->find(key);
}

Result<int64_t> JsonFields::integer(const char* key) const {
  CARAT_TRY(const nlohmann::json* value, member(key));
  if (value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX) return refusal(key, "is too large");
  if (!value->is_number_integer()) return refusal(key, std::string("expected an integer, found ") + described(*value));
  return value->get<int64_t>();
}

Result<double> JsonFields::number(const char* key) const {
  CARAT_TRY(const nlohmann::json* value, member(key));
  if (!value->is_number()) return refusal(key, std::string("expected a number, found ") + described(*value));
  return value->get<double>();
}

Result<std::string> JsonFields::text(const char* key) const {
  CARAT_TRY(const nlohmann::json* value, member(key));
  if (!value->is_string()) return refusal(key, std::string("expected a string, found ") + described(*value));
  return value->get<std::string>();
}

Result<int64_t> JsonFields::integer(const char* key, int64_t fallback) const {
  return has(key) ? integer(key) : Result<int64_t>(fallback);
}

Result<double> JsonFields::number(const char* key, double fallback) const {
  return has(key) ? number(key) : Result<double>(fallback);
}

Result<std::string> JsonFields::text(const char* key, const std::string& fallback) const {
  return has(key) ? text(key) : Result<std::string>(fallback);
}

Result<bool> JsonFields::flag(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  CARAT_TRY(const nlohmann::json* value, member(key));
  if (!value->is_boolean()) return refusal(key, std::string("expected true or false, found ") + described(*value));
  return value->get<bool>();
}

Result<JsonFields> JsonFields::object(const char* key) const {
  CARAT_TRY(const nlohmann::json* value, member(key));
  if (!value->is_object()) return refusal(key, std::string("expected an object, found ") + described(*value));
  return JsonFields(*value, source_, path_ + key + ".");
}

Result<const nlohmann::json*> JsonFields::array(const char* key) const {
  CARAT_TRY(const nlohmann::json* value, member(key));
  if (!value->is_array()) return refusal(key, std::string("expected an array, found ") + described(*value));
  return value;
}

}  // namespace carat
