#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace carat {

/// Most bytes of a small JSON file (a configuration, an index of shards) that are read.
inline constexpr size_t kSmallJsonLimit = size_t{16} << 20;

/// Parses a whole JSON file that must hold an object. `source` names it in messages.
Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& source);

/// What a value is, for messages: `number 1.5`, `string "a"`, `array`.
std::string described(const nlohmann::json& value);

/// The double that prints as the float does, for writing JSON: 1e-06, not 9.99999997e-07.
double shortest_decimal(float value);

/// Typed access to the members of one JSON object of an untrusted file. A member that is missing or null
/// counts as absent; one of the wrong type is refused by its name. Does not own the object.
class JsonFields {
 public:
  /// `path` is what stands before a member's name in messages: empty, or "text_config.".
  JsonFields(const nlohmann::json& object, std::string source, std::string path = {});

  bool has(const char* key) const;

  /// The member has to be there.
  Result<int64_t> integer(const char* key) const;
  Result<double> number(const char* key) const;
  Result<std::string> text(const char* key) const;

  /// Absent members give `fallback`.
  Result<int64_t> integer(const char* key, int64_t fallback) const;
  Result<double> number(const char* key, double fallback) const;
  Result<bool> flag(const char* key, bool fallback) const;
  Result<std::string> text(const char* key, const std::string& fallback) const;

  /// A member that has to be an object or an array.
  Result<JsonFields> object(const char* key) const;
  Result<const nlohmann::json*> array(const char* key) const;

  const nlohmann::json& json() const { return *object_; }
  const std::string& source() const { return source_; }

  /// "config.json: text_config.head_dim: " and `message`, refused.
  Error refusal(const std::string& key, const std::string& message) const;

 private:
  Result<const nlohmann::json*> member(const char* key) const;

  const nlohmann::json* object_;
  std::string source_;
  std::string path_;
};

}  // namespace carat
