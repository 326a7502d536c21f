#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"

namespace carat {

/// Typed access to the metadata of a GGUF file; an entry of the wrong type is refused by its key. Integers of every
/// width are taken where an integer is expected, booleans only in arrays. Does not own the entries.
class GgufFields {
 public:
  GgufFields(const std::vector<GgufEntry>& entries, std::string source);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool is_array(std::string_view key) const;
  const std::string& source() const { return source_; }

  /// The entry has to be there.
  Result<int64_t> integer(std::string_view key) const;
  Result<double> number(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;

  /// Absent entries give `fallback`.
  Result<int64_t> integer(std::string_view key, int64_t fallback) const;
  Result<double> number(std::string_view key, double fallback) const;
  Result<std::string> text(std::string_view key, const std::string& fallback) const;

  /// Arrays that have to be there, of any length.
  Result<const GgufArray*> integers(std::string_view key) const;
  Result<const GgufArray*> numbers(std::string_view key) const;
  Result<const GgufArray*> texts(std::string_view key) const;

  /// A quantity of each layer: an array of `layers` integers, or one integer for all.
  Result<std::vector<int64_t>> per_layer(std::string_view key, size_t layers) const;

  /// "model.gguf: gemma4.block_count: " and `message`, refused.
  Error refusal(std::string_view key, const std::string& message) const;

 private:
  const GgufValue* find(std::string_view key) const;
  Result<const GgufValue*> value(std::string_view key) const;
  Result<const GgufArray*> array(std::string_view key, bool (*accepts)(GgufType), const std::string& elements) const;

  const std::vector<GgufEntry>& entries_;
  std::string source_;
};

}  // namespace carat
