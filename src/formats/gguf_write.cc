#include "formats/gguf_write.h"

#include <type_traits>

#include "formats/ggml_types.h"

namespace carat {
namespace {

template <typename T>
void append(std::string& bytes, T value) {
  static_assert(std::is_arithmetic_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& bytes, std::string_view text) {
  append(bytes, uint64_t{text.size()});
  bytes.append(text);
}

constexpr uint64_t kPreambleBytes = 24;  // the magic, the version, two counts

uint64_t aligned(uint64_t size) { return (size + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment; }

}  // namespace

void GgufHeader::begin_entry(std::string_view key, GgufType type) {
  ++entry_count_;
  append_string(entries_, key);
  append(entries_, static_cast<uint32_t>(type));
}

void GgufHeader::begin_array(std::string_view key, GgufType type, uint64_t count) {
  begin_entry(key, GgufType::kArray);
  append(entries_, static_cast<uint32_t>(type));
  append(entries_, count);
}

void GgufHeader::add_string(std::string_view key, std::string_view value) {
  begin_entry(key, GgufType::kString);
  append_string(entries_, value);
}

void GgufHeader::add_u32(std::string_view key, uint32_t value) {
  begin_entry(key, GgufType::kU32);
  append(entries_, value);
}

void GgufHeader::add_i32(std::string_view key, int32_t value) {
  begin_entry(key, GgufType::kI32);
  append(entries_, value);
}

void GgufHeader::add_f32(std::string_view key, float value) {
  begin_entry(key, GgufType::kF32);
  append(entries_, value);
}

void GgufHeader::add_bool(std::string_view key, bool value) {
  begin_entry(key, GgufType::kBool);
  append(entries_, uint8_t{value});
}

void GgufHeader::add_i32_array(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::kI32, values.size());
  for (const int32_t value : values) append(entries_, value);
}

void GgufHeader::add_f32_array(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::kF32, values.size());
  for (const float value : values) append(entries_, value);
}

void GgufHeader::add_bool_array(std::string_view key, const std::vector<bool>& values) {
  begin_array(key, GgufType::kBool, values.size());
  for (const bool value : values) append(entries_, uint8_t{value});
}

void GgufHeader::add_string_array(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) append_string(entries_, value);
}

uint64_t GgufHeader::entries_end() const { return kPreambleBytes + entries_.size(); }

void GgufHeader::add_tensor(const TensorSpec& tensor) {
  const auto size = tensor_bytes(tensor.dtype, tensor.shape);
  CARAT_CHECK(size.has_value(), "the size of a tensor to write fits");
  ++tensor_count_;
  append_string(tensors_, tensor.name);
  append(tensors_, static_cast<uint32_t>(tensor.shape.size()));
  for (size_t i = tensor.shape.size(); i > 0; --i) append(tensors_, tensor.shape[i - 1]);
  append(tensors_, ggml_type_of(tensor.dtype));
  append(tensors_, data_size_);
  data_size_ += aligned(*size);
}

std::string GgufHeader::bytes() const {
  std::string bytes = "GGUF";
  append(bytes, uint32_t{3});
  append(bytes, tensor_count_);
  append(bytes, entry_count_);
  CARAT_CHECK(bytes.size() == kPreambleBytes, "what is in front of the entries");
  bytes += entries_;
  bytes += tensors_;
  bytes.resize(aligned(bytes.size()), '\0');
  return bytes;
}

}  // namespace carat
