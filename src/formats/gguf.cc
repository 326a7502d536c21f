#include "formats/gguf.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "formats/ggml_types.h"
#include "formats/quote.h"

namespace carat {
namespace {

// They differ only in what the version says of big-endian files.
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;
constexpr uint32_t kMostDimensions = 4;
constexpr uint32_t kHighestType = 12;

// No model comes near these; they bound what a file of nothing but tiny entries makes us keep.
constexpr uint64_t kMostEntries = 1 << 16;
constexpr uint64_t kMostTensors = 1 << 16;

/// Bytes of a value in an array or behind a key; of a string at least the length.
uint64_t smallest_size(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    default:
      return 8;
  }
}

template <typename T>
T load(Bytes bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

std::string supported_types() {
  std::string names;
  for (int type = 0; type < kGgufDTypes; ++type) {
    if (type > 0) names += type + 1 < kGgufDTypes ? ", " : " or ";
    names += dtype_name(static_cast<DType>(type));
  }
  return names;
}

/// What the header says of a tensor, before it is compared with the file.
struct TensorHeader {
  std::string_view name;
  DType dtype = DType::kF32;
  Shape shape;
  uint64_t offset = 0;
  uint64_t size = 0;
};

class Parser {
 public:
  Parser(Bytes bytes, const std::string& source) : bytes_(bytes), reader_(bytes), source_(source) {}

  Result<GgufContent> parse() {
    GgufContent content;
    CARAT_TRY(const std::vector<TensorHeader> headers, read_header(content.entries));
    CARAT_TRY_STATUS(place_tensors(headers, content.tensors));
    return content;
  }

  Result<GgufPreview> preview() {
    GgufPreview preview;
    CARAT_TRY(const std::vector<TensorHeader> headers, read_header(preview.entries));
    const auto end = end_of(headers);
    if (!end) return error("its tensors end beyond 64 bits; the file is damaged, download it again");
    preview.bytes = *end;
    return preview;
  }

 private:
  Error error(const std::string& message) const { return refused(source_ + ": " + message); }

  Error truncated(const std::string& where) const {
    return error(where + ": the file ends at byte " + std::to_string(bytes_.size()) +
                 " in the middle of it; it is truncated or damaged, copy it again");
  }

  /// All that is in front of the data.
  Result<std::vector<TensorHeader>> read_header(std::vector<GgufEntry>& entries) {
    CARAT_TRY_STATUS(read_preamble());
    CARAT_TRY_STATUS(read_entries(entries));
    CARAT_TRY_STATUS(read_alignment(entries));
    return read_tensor_headers();
  }

  Status read_preamble() {
    const auto magic = reader_.take(4);
    if (!magic || as_text(*magic) != "GGUF") {
      return error("expected a GGUF file, which begins with \"GGUF\"; found " +
                   in_quotes(as_text(bytes_.first(std::min<size_t>(4, bytes_.size())))));
    }
    const auto version = reader_.read<uint32_t>();
    if (!version) return truncated("the version");
    CARAT_TRY_STATUS(check_version(*version));
    const auto tensors = reader_.read<uint64_t>();
    const auto entries = reader_.read<uint64_t>();
    if (!tensors || !entries) return truncated("the header");
    tensor_count_ = *tensors;
    entry_count_ = *entries;
    if (entry_count_ > kMostEntries || tensor_count_ > kMostTensors) {
      return error(std::to_string(entry_count_) + " metadata entries and " + std::to_string(tensor_count_) +
                   " tensors, expected at most " + std::to_string(kMostEntries) + " and " +
                   std::to_string(kMostTensors));
    }
    return success();
  }

  Status check_version(uint32_t version) const {
    if (version >= kOldestVersion && version <= kNewestVersion) return success();
    if (const uint32_t swapped = __builtin_bswap32(version); swapped >= kOldestVersion && swapped <= kNewestVersion) {
      return error("is a big-endian GGUF file; expected little-endian, convert the model again");
    }
    const std::string advice = version < kOldestVersion ? "convert the model again with a current converter"
                                                        : "it needs a newer version of this program";
    return error("GGUF version " + std::to_string(version) + ", expected " + std::to_string(kOldestVersion) + " or " +
                 std::to_string(kNewestVersion) + "; " + advice);
  }

  Result<std::string_view> read_string(const std::string& where) {
    const auto length = reader_.read<uint64_t>();
    if (!length) return truncated(where);
    const auto text = reader_.take(*length);
    if (!text) {
      return error(where + ": a string of " + std::to_string(*length) + " bytes does not fit in the " +
                   std::to_string(reader_.remaining()) + " bytes left; the file is truncated or damaged");
    }
    return as_text(*text);
  }

  Result<GgufType> read_type(const std::string& where) {
    const auto type = reader_.read<uint32_t>();
    if (!type) return truncated(where);
    if (*type > kHighestType) return error(where + ": value type " + std::to_string(*type) + " is unknown");
    return static_cast<GgufType>(*type);
  }

  Status read_entries(std::vector<GgufEntry>& entries) {
    std::unordered_set<std::string_view> keys;
    for (uint64_t i = 0; i < entry_count_; ++i) {
      CARAT_TRY(const std::string_view key, read_string("metadata entry " + std::to_string(i)));
      if (!keys.insert(key).second) return error("metadata key " + in_quotes(key) + " is there twice");
      const std::string where = "metadata " + in_quotes(key);
      CARAT_TRY(const GgufType type, read_type(where));
      CARAT_TRY(GgufValue value, read_value(type, where));
      entries.push_back({key, std::move(value)});
    }
    return success();
  }

  Result<GgufValue> read_value(GgufType type, const std::string& where) {
    if (type == GgufType::kString) {
      CARAT_TRY(const std::string_view text, read_string(where));
      return GgufValue{type, text};
    }
    if (type == GgufType::kArray) {
      CARAT_TRY(GgufArray array, read_array(where));
      return GgufValue{type, std::move(array)};
    }
    CARAT_TRY(const GgufArray one, read_fixed(type, 1, where));
    if (is_float(type)) return GgufValue{type, one.number(0)};
    return GgufValue{type, one.integer(0)};
  }

  Result<GgufArray> read_array(const std::string& where) {
    CARAT_TRY(const GgufType type, read_type(where));
    if (type == GgufType::kArray) return error(where + ": arrays of arrays are not supported");
    const auto count = reader_.read<uint64_t>();
    if (!count) return truncated(where);
    if (*count > reader_.remaining() / smallest_size(type)) {
      return error(where + ": " + std::to_string(*count) + " elements do not fit in the " +
                   std::to_string(reader_.remaining()) + " bytes left; the file is truncated or damaged");
    }
    if (type != GgufType::kString) return read_fixed(type, *count, where);
    std::vector<std::string_view> strings;
    strings.reserve(*count);
    for (uint64_t i = 0; i < *count; ++i) {
      CARAT_TRY(const std::string_view text, read_string(where));
      strings.push_back(text);
    }
    return GgufArray(std::move(strings));
  }

  /// `count` is 1 or was compared with the bytes left.
  Result<GgufArray> read_fixed(GgufType type, uint64_t count, const std::string& where) {
    const auto bytes = reader_.take(count * smallest_size(type));
    if (!bytes) return truncated(where);
    if (type == GgufType::kBool) {
      for (const std::byte value : *bytes) {
        if (std::to_integer<int>(value) > 1) return error(where + ": expected a boolean of 0 or 1");
      }
    }
    return GgufArray(type, count, *bytes);
  }

  Status read_alignment(const std::vector<GgufEntry>& entries) {
    for (const GgufEntry& entry : entries) {
      if (entry.key != "general.alignment") continue;
      const auto* value = std::get_if<int64_t>(&entry.value.value);
      if (entry.value.type != GgufType::kU32 || *value < 8 || (*value & (*value - 1)) != 0) {
        return error("general.alignment: expected a power of two of at least 8, as u32");
      }
      alignment_ = static_cast<uint64_t>(*value);
    }
    return success();
  }

  Result<std::vector<TensorHeader>> read_tensor_headers() {
    std::unordered_set<std::string_view> names;
    std::vector<TensorHeader> headers;
    for (uint64_t i = 0; i < tensor_count_; ++i) {
      CARAT_TRY(TensorHeader header, read_tensor_header(i));
      if (!names.insert(header.name).second) return error("two tensors are called " + in_quotes(header.name));
      headers.push_back(std::move(header));
    }
    return headers;
  }

  Result<TensorHeader> read_tensor_header(uint64_t index) {
    TensorHeader header;
    CARAT_TRY(header.name, read_string("tensor " + std::to_string(index)));
    const std::string where = printable(header.name);
    CARAT_TRY(header.shape, read_shape(where));
    const auto type = reader_.read<uint32_t>();
    const auto offset = reader_.read<uint64_t>();
    if (!type || !offset) return truncated(where);
    const auto dtype = dtype_of_ggml_type(*type);
    if (!dtype) {
      return error(where + ": tensors of " + ggml_type_name(*type) + " are not supported; expected " +
                   supported_types());
    }
    header.dtype = *dtype;
    header.offset = *offset;
    const auto size = tensor_bytes(header.dtype, header.shape);
    if (!size) {
      return error(where + ": " + shape_text(header.shape) + " " + std::string(dtype_name(*dtype)) +
                   " is no whole number of blocks or does not fit in 64 bits");
    }
    header.size = *size;
    return header;
  }

  Result<Shape> read_shape(const std::string& where) {
    const auto dimensions = reader_.read<uint32_t>();
    if (!dimensions) return truncated(where);
    if (*dimensions > kMostDimensions) {
      return error(where + ": " + std::to_string(*dimensions) + " dimensions, expected at most " +
                   std::to_string(kMostDimensions));
    }
    Shape shape;
    for (uint32_t d = 0; d < *dimensions; ++d) {
      const auto extent = reader_.read<int64_t>();
      if (!extent) return truncated(where);
      if (*extent < 1) return error(where + ": an extent of " + std::to_string(*extent) + ", expected at least 1");
      shape.insert(shape.begin(), *extent);
    }
    return shape;
  }

  uint64_t data_begin() const { return (reader_.position() + alignment_ - 1) / alignment_ * alignment_; }

  /// The bytes of the file up to the end of its last tensor; nothing when they do not fit in 64 bits.
  std::optional<uint64_t> end_of(const std::vector<TensorHeader>& headers) const {
    uint64_t end = data_begin();
    for (const TensorHeader& header : headers) {
      const auto tensor_end = checked_add(header.offset, header.size);
      const auto in_file = tensor_end ? checked_add(data_begin(), *tensor_end) : std::nullopt;
      if (!in_file) return std::nullopt;
      end = std::max(end, *in_file);
    }
    return end;
  }

  /// What the end of a message says of a file whose tensors lie behind its end.
  std::string why_too_short(const std::vector<TensorHeader>& headers) const {
    const auto end = end_of(headers);
    if (!end) return "the file is damaged, download it again";
    return "the file is cut short: " + std::to_string(bytes_.size()) + " of " + std::to_string(*end) +
           " bytes are there; download it again";
  }

  Status place_tensors(const std::vector<TensorHeader>& headers, std::vector<NamedTensor>& tensors) const {
    const Bytes data = bytes_.subspan(std::min<uint64_t>(data_begin(), bytes_.size()));
    tensors.reserve(headers.size());
    for (const TensorHeader& header : headers) {
      const std::string where = printable(header.name);
      if (header.offset % alignment_ != 0) {
        return error(where + ": begins at byte " + std::to_string(header.offset) +
                     " of the data, expected a multiple of " + std::to_string(alignment_));
      }
      if (header.offset > data.size() || header.size > data.size() - header.offset) {
        return error(where + ": " + std::to_string(header.size) + " bytes at byte " + std::to_string(header.offset) +
                     " do not fit in " + std::to_string(data.size()) + " bytes of data; " + why_too_short(headers));
      }
      tensors.push_back(
          {std::string(header.name), {header.dtype, header.shape, data.subspan(header.offset, header.size)}});
    }
    return check_overlaps(headers);
  }

  Status check_overlaps(std::vector<TensorHeader> headers) const {
    std::sort(headers.begin(), headers.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
    for (size_t i = 1; i < headers.size(); ++i) {
      if (headers[i - 1].offset + headers[i - 1].size <= headers[i].offset) continue;
      return error(printable(headers[i - 1].name) + " and " + printable(headers[i].name) +
                   " lie on the same bytes; the file is damaged");
    }
    return success();
  }

  Bytes bytes_;
  ByteReader reader_;
  const std::string& source_;
  uint64_t tensor_count_ = 0;
  uint64_t entry_count_ = 0;
  uint64_t alignment_ = kGgufAlignment;
};

}  // namespace

bool is_float(GgufType type) { return type == GgufType::kF32 || type == GgufType::kF64; }
bool is_integer(GgufType type) { return type != GgufType::kString && type != GgufType::kArray && !is_float(type); }

int64_t GgufArray::integer(uint64_t index) const {
  CARAT_CHECK(is_integer(type_) && index < count_, "an integer of an array");
  switch (type_) {
    case GgufType::kU8:
    case GgufType::kBool:
      return load<uint8_t>(bytes_, index);
    case GgufType::kI8:
      return load<int8_t>(bytes_, index);
    case GgufType::kU16:
      return load<uint16_t>(bytes_, index);
    case GgufType::kI16:
      return load<int16_t>(bytes_, index);
    case GgufType::kU32:
      return load<uint32_t>(bytes_, index);
    case GgufType::kI32:
      return load<int32_t>(bytes_, index);
    default:
      return load<int64_t>(bytes_, index);
  }
}

double GgufArray::number(uint64_t index) const {
  CARAT_CHECK(is_float(type_) && index < count_, "a float of an array");
  return type_ == GgufType::kF32 ? load<float>(bytes_, index) : load<double>(bytes_, index);
}

Result<GgufContent> parse_gguf(Bytes bytes, const std::string& source) { return Parser(bytes, source).parse(); }

Result<GgufPreview> preview_gguf(Bytes bytes, const std::string& source) { return Parser(bytes, source).preview(); }

}  // namespace carat
