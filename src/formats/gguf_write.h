#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "formats/named_tensor.h"

namespace carat {

/// Collects the metadata and tensor infos of a GGUF file and lays them out; the data follow from elsewhere.
class GgufHeader {
 public:
  void add_string(std::string_view key, std::string_view value);
  void add_u32(std::string_view key, uint32_t value);
  void add_i32(std::string_view key, int32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_i32_array(std::string_view key, std::span<const int32_t> values);
  void add_f32_array(std::string_view key, std::span<const float> values);
  void add_bool_array(std::string_view key, const std::vector<bool>& values);
  void add_string_array(std::string_view key, std::span<const std::string> values);

  /// The byte of the file behind the entry that was added last.
  uint64_t entries_end() const;

  /// The size fits. Its data begin at the next multiple of `kGgufAlignment` behind the tensor added before.
  void add_tensor(const TensorSpec& tensor);

  /// All bytes in front of the data, padding included.
  std::string bytes() const;

 private:
  void begin_entry(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType type, uint64_t count);

  std::string entries_;
  std::string tensors_;
  uint64_t entry_count_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t data_size_ = 0;
};

}  // namespace carat
