#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file_map.h"
#include "base/result.h"
#include "formats/named_tensor.h"
#include "tensor/tensor.h"

namespace carat {

/// Element types of GGUF metadata, with their numbers in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// A homogeneous array of numbers, booleans or strings, never of arrays. It lies in the file: an element is decoded
/// when it is asked for.
class GgufArray {
 public:
  GgufArray(GgufType type, uint64_t count, Bytes bytes) : type_(type), count_(count), bytes_(bytes) {}
  explicit GgufArray(std::vector<std::string_view> strings)
      : type_(GgufType::kString), count_(strings.size()), strings_(std::move(strings)) {}

  GgufType type() const { return type_; }
  uint64_t size() const { return count_; }

  /// An element of an array of integers or booleans; of 64 unsigned bits, the same bits.
  int64_t integer(uint64_t index) const;
  /// An element of an array of floats.
  double number(uint64_t index) const;
  /// All elements of an array of strings.
  const std::vector<std::string_view>& strings() const { return strings_; }

 private:
  GgufType type_;
  uint64_t count_;
  Bytes bytes_;
  std::vector<std::string_view> strings_;
};

bool is_integer(GgufType type);  ///< or boolean
bool is_float(GgufType type);

/// Multiple of which tensor data begin when the file does not name another.
inline constexpr uint64_t kGgufAlignment = 32;

/// One metadata value: an integer or boolean of any width, a float of any width, a string, an array.
struct GgufValue {
  GgufType type = GgufType::kU32;
  std::variant<int64_t, double, std::string_view, GgufArray> value;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

/// A parsed GGUF file (version 2 or 3, little-endian). Strings and tensor data are views into the mapped file.
///
///     "GGUF"  version u32  tensors i64  entries i64
///     entries: key string, type u32, value            string: length u64, bytes
///     tensors: name string, n u32, n extents i64 (fastest first), type u32, offset u64
///     padding to general.alignment (32), then the data that the offsets count from
///
/// `open` checks everything but the meaning: tensors have at most 4 dimensions and a supported type, lie inside the
/// file at multiples of the alignment and do not overlap; names and keys are unique.
///
/// A model may be split into several files, `NAME-00001-of-00003.gguf` and so on (llama.cpp: tools/gguf-split). Each
/// holds some of the tensors and says in `split.no`, `split.count` and `split.tensors.count` which it is, how many
/// there are and how many tensors they hold together; the first one has the metadata. `open` takes the path of any of
/// them and opens all.
class GgufFile {
 public:
  /// Refuses, by its name, a part that is missing, is another one than its name says, or is of another model.
  static Result<GgufFile> open(const std::filesystem::path& path);

  /// The metadata; of a split model those of its first part.
  const std::vector<GgufEntry>& entries() const { return entries_; }
  /// The tensors of all parts.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  /// The files of the parts, for who keeps nothing else of it. What the entries and tensors name stays valid.
  std::vector<FileMap> take_maps() { return std::move(maps_); }

 private:
  GgufFile() = default;
  std::vector<FileMap> maps_;  // one for each part
  std::vector<GgufEntry> entries_;
  std::vector<NamedTensor> tensors_;
};

/// The parser alone, for `open` and the fuzz target; `source` names the bytes in messages.
struct GgufContent {
  std::vector<GgufEntry> entries;
  std::vector<NamedTensor> tensors;
};

Result<GgufContent> parse_gguf(Bytes bytes, const std::string& source);

/// What a file says of itself in front of its data, which need not be there.
struct GgufPreview {
  std::vector<GgufEntry> entries;
  uint64_t bytes = 0;  ///< of a whole file, up to the end of its last tensor; zeros up to the alignment may follow
};

Result<GgufPreview> preview_gguf(Bytes bytes, const std::string& source);

/// The paths of all parts of the model of which the file at `path` is one, whether they are there or not; of a model
/// that is not split `path` alone. Reads no tensor.
Result<std::vector<std::filesystem::path>> gguf_parts(const std::filesystem::path& path);

}  // namespace carat
