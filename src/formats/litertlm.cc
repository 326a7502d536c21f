#include "formats/litertlm.h"

#include <algorithm>
#include <array>

#include "formats/flatbuffer.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr std::string_view kMagic = "LITERTLM";
constexpr uint32_t kMajorVersion = 1;
constexpr size_t kHeaderBegin = 32;
// The published bundles have 12 sections and a header of a few kilobytes.
constexpr size_t kMostSections = 256;
constexpr size_t kMostItems = 256;
constexpr uint64_t kLongestHeader = uint64_t{1} << 20;
constexpr uint8_t kStringValue = 9;

constexpr std::array<std::string_view, 12> kKindNames = {"NONE",
                                                         "GenericBinaryData",
                                                         "Deprecated",
                                                         "TFLiteModel",
                                                         "SP_Tokenizer",
                                                         "LlmMetadataProto",
                                                         "HF_Tokenizer_Zlib",
                                                         "TFLiteWeights",
                                                         "EmbeddingMetadataProto",
                                                         "ExecutorMetadataProto",
                                                         "TtsMetadataProto",
                                                         "AsrMetadataProto"};

class Parser {
 public:
  Parser(Bytes bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  Result<LitertlmContent> parse() {
    LitertlmContent content;
    CARAT_TRY(const Bytes header, read_preamble(content.version));
    header_end_ = kHeaderBegin + header.size();
    CARAT_TRY(const FlatTable root, FlatTable::root(header, source_));
    CARAT_TRY(const std::optional<FlatTable> metadata, root.table(1));
    if (!metadata) return error("its header lists no sections; the file is damaged");
    CARAT_TRY(const FlatTables sections, metadata->tables(0));
    if (sections.size() > kMostSections) {
      return error(std::to_string(sections.size()) + " sections, expected at most " + std::to_string(kMostSections));
    }
    for (size_t i = 0; i < sections.size(); ++i) {
      CARAT_TRY(const FlatTable entry, sections.at(i));
      CARAT_TRY(LitertlmSection section, read_section(entry, "section " + std::to_string(i)));
      content.sections.push_back(section);
    }
    CARAT_TRY_STATUS(check_overlaps(content.sections));
    return content;
  }

 private:
  Error error(const std::string& message) const { return refused(source_ + ": " + message); }

  Error truncated() const { return error("the file ends in its header; it is truncated, copy it again"); }

  /// The bytes of the flatbuffer that lists the sections.
  Result<Bytes> read_preamble(std::string& version) const {
    ByteReader reader(bytes_);
    const auto magic = reader.take(kMagic.size());
    if (!magic || as_text(*magic) != kMagic) {
      return error("expected a LiteRT-LM bundle, which begins with \"LITERTLM\"; found " +
                   in_quotes(as_text(bytes_.first(std::min(kMagic.size(), bytes_.size())))));
    }
    const auto major = reader.read<uint32_t>();
    const auto minor = reader.read<uint32_t>();
    const auto patch = reader.read<uint32_t>();
    const auto padding = reader.read<uint32_t>();
    const auto end = reader.read<uint64_t>();
    if (!major || !minor || !patch || !padding || !end) return truncated();
    version = std::to_string(*major) + "." + std::to_string(*minor) + "." + std::to_string(*patch);
    if (*major != kMajorVersion) {
      return error("LiteRT-LM version " + version + ", expected 1.x; it needs another version of this program");
    }
    if (*end < kHeaderBegin || *end > kLongestHeader) {
      return error("a header that ends at byte " + std::to_string(*end) + ", expected " + std::to_string(kHeaderBegin) +
                   " to " + std::to_string(kLongestHeader) + "; the file is damaged");
    }
    if (*end > bytes_.size()) return truncated();
    return bytes_.subspan(kHeaderBegin, *end - kHeaderBegin);
  }

  Result<LitertlmSection> read_section(const FlatTable& entry, const std::string& where) const {
    LitertlmSection section{};
    CARAT_TRY(section.begin, entry.number<uint64_t>(1, 0));
    CARAT_TRY(const uint64_t end, entry.number<uint64_t>(2, 0));
    CARAT_TRY(const uint8_t kind, entry.number<uint8_t>(3, 0));
    section.kind = static_cast<LitertlmKind>(kind);
    CARAT_TRY(section.model_type, model_type_of(entry, where));
    if (section.begin < header_end_ || end < section.begin || end > bytes_.size()) {
      return error(where + " lies at bytes " + std::to_string(section.begin) + " to " + std::to_string(end) +
                   ", the file has " + std::to_string(bytes_.size()) + " of which the header takes " +
                   std::to_string(header_end_) + "; it is truncated or damaged, copy it again");
    }
    section.data = bytes_.subspan(section.begin, end - section.begin);
    return section;
  }

  Result<std::string_view> model_type_of(const FlatTable& entry, const std::string& where) const {
    CARAT_TRY(const FlatTables items, entry.tables(0));
    if (items.size() > kMostItems) {
      return error(where + ": " + std::to_string(items.size()) + " items, expected at most " +
                   std::to_string(kMostItems));
    }
    for (size_t i = 0; i < items.size(); ++i) {
      CARAT_TRY(const FlatTable item, items.at(i));
      CARAT_TRY(const std::string_view key, item.text(0));
      CARAT_TRY(const uint8_t type, item.number<uint8_t>(1, 0));
      if (key != "model_type" || type != kStringValue) continue;
      CARAT_TRY(const std::optional<FlatTable> value, item.table(2));
      if (value) return value->text(0);
    }
    return std::string_view();
  }

  Status check_overlaps(std::vector<LitertlmSection> sections) const {
    std::ranges::sort(sections, {}, &LitertlmSection::begin);
    for (size_t i = 1; i < sections.size(); ++i) {
      const LitertlmSection& before = sections[i - 1];
      if (before.begin + before.data.size() <= sections[i].begin) continue;
      return error("two sections lie on byte " + std::to_string(sections[i].begin) + "; the file is damaged");
    }
    return success();
  }

  Bytes bytes_;
  const std::string& source_;
  uint64_t header_end_ = 0;
};

}  // namespace

std::string litertlm_kind_name(LitertlmKind kind) {
  const auto number = static_cast<size_t>(kind);
  return number < kKindNames.size() ? std::string(kKindNames[number]) : "section type " + std::to_string(number);
}

const LitertlmSection* LitertlmContent::find(LitertlmKind kind, std::string_view model_type) const {
  const auto found = std::ranges::find_if(sections, [&](const LitertlmSection& section) {
    return section.kind == kind && section.model_type == model_type;
  });
  return found == sections.end() ? nullptr : &*found;
}

Result<LitertlmContent> parse_litertlm(Bytes bytes, const std::string& source) { return Parser(bytes, source).parse(); }

bool is_litertlm_path(const std::filesystem::path& path) { return path.extension() == ".litertlm"; }

}  // namespace carat
