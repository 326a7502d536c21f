#include "formats/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "formats/quote.h"
#include "formats/safetensors_header.h"

namespace carat {
namespace {

constexpr uint64_t kLengthBytes = 8;

// The format's own limit; without it a header could be as long as the file.
constexpr uint64_t kLongestHeader = 100'000'000;

constexpr size_t kHeaderAlignment = 8;

/// The header of a file and where its data begin.
struct Header {
  std::vector<SafetensorsEntry> entries;
  uint64_t data_begin = 0;
};

Result<Header> read_header(Bytes bytes, const std::string& source) {
  ByteReader reader(bytes);
  const auto length = reader.read<uint64_t>();
  if (!length) {
    return refused(source + ": " + std::to_string(bytes.size()) +
                   " bytes are too few for a safetensors file; copy it again");
  }
  if (*length > kLongestHeader) {
    return refused(source + ": a header of " + std::to_string(*length) + " bytes is too long, expected at most " +
                   std::to_string(kLongestHeader) + "; this is no safetensors file");
  }
  const auto header = reader.take(*length);
  if (!header) {
    return refused(source + ": a header of " + std::to_string(*length) + " bytes does not fit in " +
                   std::to_string(bytes.size()) + " bytes; the file is cut short or no safetensors file");
  }
  CARAT_TRY(std::vector<SafetensorsEntry> entries, read_safetensors_header(as_text(*header), source));
  return Header{std::move(entries), reader.position()};
}

/// The bytes of a file that ends with its last tensor; nothing when they do not fit in 64 bits.
std::optional<uint64_t> end_of(const Header& header) {
  uint64_t data = 0;
  for (const SafetensorsEntry& entry : header.entries) data = std::max({data, entry.begin, entry.end});
  return checked_add(header.data_begin, data);
}

Status check_place(const SafetensorsEntry& entry, const Header& header, uint64_t file_size, const std::string& source) {
  const uint64_t data_size = file_size - header.data_begin;
  if (entry.begin <= entry.end && entry.end <= data_size) return success();
  const auto end = end_of(header);
  const bool cut_short = entry.begin <= entry.end && end;
  return refused(source + ": " + printable(entry.name) + ": lies at bytes " + std::to_string(entry.begin) + " to " +
                 std::to_string(entry.end) + " of " + std::to_string(data_size) + " bytes of data; the file is " +
                 (cut_short ? "cut short: " + std::to_string(file_size) + " of " + std::to_string(*end) +
                                  " bytes are there; download it again"
                            : "damaged, download it again"));
}

/// `entry`, whose elements have `element_bytes`, lies inside `data`, which begin at byte `data_begin` of the file.
Result<StoredTensor> make_tensor(const SafetensorsEntry& entry, uint64_t element_bytes, Bytes data, uint64_t data_begin,
                                 const std::string& source) {
  const std::string name = source + ": " + printable(entry.name);
  const auto elements = element_count(entry.shape);
  const auto bytes = elements ? checked_multiply(static_cast<uint64_t>(*elements), element_bytes) : std::nullopt;
  if (!bytes) return refused(name + ": the size of " + shape_text(entry.shape) + " does not fit in 64 bits");
  if (entry.end - entry.begin != *bytes) {
    return refused(name + ": " + shape_text(entry.shape) + " " + entry.dtype + " takes " + std::to_string(*bytes) +
                   " bytes, but its offsets leave " + std::to_string(entry.end - entry.begin));
  }
  if ((data_begin + entry.begin) % element_bytes != 0) {
    return refused(
        name + ": does not begin at a multiple of its element size; save the file again with a current safetensors");
  }
  return StoredTensor{entry.name, entry.dtype, entry.shape, data.subspan(entry.begin, *bytes)};
}

Status check_coverage(std::vector<SafetensorsEntry> entries, uint64_t data_size, const std::string& source) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != covered) {
      return refused(source + ": " + printable(entry.name) + ": begins at byte " + std::to_string(entry.begin) +
                     " of the data, expected " + std::to_string(covered) + ": there is " +
                     (entry.begin < covered ? "an overlap" : "a hole"));
    }
    covered = entry.end;
  }
  if (covered != data_size) {
    return refused(source + ": the tensors end at byte " + std::to_string(covered) + " of " +
                   std::to_string(data_size) + " bytes of data");
  }
  return success();
}

Status check_names(const std::vector<SafetensorsEntry>& entries, const std::string& source) {
  std::unordered_set<std::string_view> names;
  for (const SafetensorsEntry& entry : entries) {
    if (!names.insert(entry.name).second) return refused(source + ": two tensors are called " + in_quotes(entry.name));
  }
  return success();
}

}  // namespace

Result<SafetensorsContent> parse_safetensors(Bytes bytes, const std::string& source) {
  CARAT_TRY(const Header header, read_header(bytes, source));
  CARAT_TRY_STATUS(check_names(header.entries, source));

  const Bytes data = bytes.subspan(header.data_begin);
  SafetensorsContent content;
  for (const SafetensorsEntry& entry : header.entries) {
    CARAT_TRY_STATUS(check_place(entry, header, bytes.size(), source));
    if (const auto element_bytes = stored_element_bytes(entry.dtype)) {
      CARAT_TRY(StoredTensor tensor, make_tensor(entry, *element_bytes, data, header.data_begin, source));
      content.tensors.push_back(std::move(tensor));
    } else {
      content.unreadable.push_back({entry.name, entry.dtype});
    }
  }
  CARAT_TRY_STATUS(check_coverage(header.entries, data.size(), source));
  return content;
}

Result<uint64_t> whole_safetensors_size(Bytes bytes, const std::string& source) {
  CARAT_TRY(const Header header, read_header(bytes, source));
  if (const auto end = end_of(header)) return *end;
  return refused(source + ": its tensors end beyond 64 bits; the file is damaged, download it again");
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  CARAT_TRY(FileMap map, FileMap::open(path));
  SafetensorsFile file(std::move(map));
  CARAT_TRY(file.content_, parse_safetensors(file.map_.bytes(), path.string()));
  return file;
}

std::string safetensors_header(const std::vector<StoredSpec>& tensors, const std::string& format) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  header["__metadata__"] = {{"format", format}};  // transformers refuses a file without it
  uint64_t begin = 0;
  for (const StoredSpec& tensor : tensors) {
    const auto element_bytes = stored_element_bytes(tensor.dtype);
    CARAT_CHECK(element_bytes && tensor.bytes % *element_bytes == 0, "a tensor that safetensors can hold");
    CARAT_CHECK(begin % *element_bytes == 0, "tensors in order of element size");
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, begin + tensor.bytes}}};
    begin += tensor.bytes;
  }
  std::string text = header.dump();
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), kLengthBytes) + text;
}

}  // namespace carat
