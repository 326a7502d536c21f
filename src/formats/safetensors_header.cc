#include "formats/safetensors_header.h"

#include <nlohmann/json.hpp>

#include "formats/quote.h"

namespace carat {
namespace {

using nlohmann::json;

/// Receives the parser's events. The header is only three levels deep, so the place where an event belongs is a
/// level, the member last named on it, and how many numbers an array has had.
class HeaderEvents final : public json::json_sax_t {
 public:
  std::vector<SafetensorsEntry> entries;
  std::string problem;

  bool null() override { return fail("null"); }
  bool boolean(bool) override { return fail("true or false"); }
  bool number_integer(number_integer_t) override { return fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return fail("a fraction"); }
  bool binary(binary_t&) override { return fail("binary"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > INT64_MAX) return fail("an extent beyond 63 bits");
      entries.back().shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ != Place::kOffsets || offsets_ == 2) return fail("a number");
    (offsets_++ == 0 ? entries.back().begin : entries.back().end) = value;
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kTensor || member_ != "dtype") return fail("a string");
    entries.back().dtype = value;
    has_dtype_ = true;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kHeader;
    } else if (place_ == Place::kHeader && member_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kHeader) {
      place_ = Place::kTensor;
      entries.push_back({member_, {}, {}, 0, 0});
      has_dtype_ = has_shape_ = false;
      offsets_ = 0;
    } else {
      return fail("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    member_ = value;
    if (place_ != Place::kTensor) return true;
    if (member_ == "dtype" ? has_dtype_ : member_ == "shape" ? has_shape_ : offsets_ != 0)
      return fail("a member twice");
    return member_ == "dtype" || member_ == "shape" || member_ == "data_offsets" || fail("an unknown member");
  }

  bool end_object() override {
    if (place_ == Place::kTensor && !(has_dtype_ && has_shape_ && offsets_ == 2)) {
      member_ = entries.back().name;
      return fail("a tensor without dtype, shape and two data_offsets");
    }
    place_ = place_ == Place::kHeader ? Place::kOutside : Place::kHeader;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || member_ == "dtype") return fail("an array");
    place_ = member_ == "shape" ? Place::kShape : Place::kOffsets;
    has_shape_ = has_shape_ || place_ == Place::kShape;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    problem = "the header is no valid JSON at byte " + std::to_string(position);
    return false;
  }

 private:
  enum class Place { kOutside, kHeader, kMetadata, kTensor, kShape, kOffsets };

  bool fail(const std::string& found) {
    problem = "the header has " + found + " at " + in_quotes(member_);
    return false;
  }

  Place place_ = Place::kOutside;
  std::string member_;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  int offsets_ = 0;
};

}  // namespace

Result<std::vector<SafetensorsEntry>> read_safetensors_header(std::string_view text, const std::string& source) {
  HeaderEvents events;
  if (!json::sax_parse(text, &events)) return refused(source + ": " + events.problem);
  return std::move(events.entries);
}

}  // namespace carat
