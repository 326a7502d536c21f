#include "eval/reference_logits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sha256.h"
#include "base/utf8.h"
#include "formats/json_fields.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr std::string_view kMagic = "CARATLGT";
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPrefix = 16;  // magic, version, length of the header
constexpr uint32_t kLongestHeader = 64 << 10;
constexpr double kLevels = 65535;

struct Grid {
  float lowest = 0;
  float step = 0;

  float at(uint16_t code) const { return static_cast<float>(lowest + static_cast<double>(step) * code); }
  bool usable() const { return std::isfinite(lowest) && step >= 0 && std::isfinite(at(UINT16_MAX)); }
};

/// What a row begins with.
struct RowHead {
  Grid grid;
  uint64_t check = 0;  ///< of the grid and the codes
};

/// A polynomial of all numbers of a row modulo 2^64; its factor is odd, so that one other number gives another sum.
class RowCheck {
 public:
  explicit RowCheck(const Grid& grid) {
    for (const float part : {grid.lowest, grid.step}) add(std::bit_cast<uint32_t>(part));
  }
  void add(uint32_t number) { sum_ = sum_ * 0x9e3779b97f4a7c15u + number; }
  uint64_t sum() const { return sum_; }

 private:
  uint64_t sum_ = 1;
};

Grid grid_of(std::span<const float> row) {
  const auto [smallest, largest] = std::ranges::minmax(row);
  return {smallest, static_cast<float>((static_cast<double>(largest) - smallest) / kLevels)};
}

uint16_t code_of(const Grid& grid, float logit) {
  if (grid.step == 0) return 0;
  const double level = (static_cast<double>(logit) - grid.lowest) / grid.step;
  return static_cast<uint16_t>(std::lround(std::min(level, kLevels)));
}

template <typename T>
Bytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

uint64_t row_bytes(int64_t vocabulary) {
  return sizeof(RowHead) + sizeof(uint16_t) * static_cast<uint64_t>(vocabulary);
}

std::string header_text(const LogitsHeader& header) {
  const nlohmann::ordered_json json = {{"reference", to_valid_utf8(header.origin.reference)},
                                       {"weights_sha256", header.origin.weights_sha256},
                                       {"text_sha256", header.text_sha256},
                                       {"vocabulary_sha256", header.vocabulary_sha256},
                                       {"vocabulary", header.vocabulary},
                                       {"predictions", header.predictions},
                                       {"positions", header.positions},
                                       {"overlap", header.overlap}};
  return json.dump();
}

Result<LogitsHeader> parse_header(std::string_view text, const std::string& source) {
  CARAT_TRY(const nlohmann::json json, parse_json_object(text, source));
  const JsonFields fields(json, source);
  LogitsHeader header;
  CARAT_TRY(header.origin.reference, fields.text("reference"));
  if (header.origin.reference.empty()) return fields.refusal("reference", "is empty, expected the model's name");
  CARAT_TRY(header.origin.weights_sha256, fields.text("weights_sha256"));
  if (!header.origin.weights_sha256.empty() && !is_sha256(header.origin.weights_sha256)) {
    return fields.refusal("weights_sha256", "expected 64 hexadecimal digits or none");
  }
  for (const auto& [key, digest] : {std::pair("text_sha256", &LogitsHeader::text_sha256),
                                    std::pair("vocabulary_sha256", &LogitsHeader::vocabulary_sha256)}) {
    CARAT_TRY(header.*digest, fields.text(key));
    if (!is_sha256(header.*digest)) return fields.refusal(key, "expected 64 hexadecimal digits");
  }
  for (const auto& [key, count, least] :
       {std::tuple("vocabulary", &LogitsHeader::vocabulary, 1),
        std::tuple("predictions", &LogitsHeader::predictions, 1), std::tuple("positions", &LogitsHeader::positions, 2),
        std::tuple("overlap", &LogitsHeader::overlap, 0)}) {
    CARAT_TRY(header.*count, fields.integer(key));
    if (header.*count < least || header.*count > INT32_MAX) return fields.refusal(key, "is out of range");
  }
  return header;
}

Error damaged(const std::string& source, const std::string& what) {
  return refused(source + ": " + what + "; write the reference logits again");
}

}  // namespace

Result<std::string> weights_digest(const std::filesystem::path& path, const DigestProgress& progress) {
  CARAT_TRY(const std::vector<std::filesystem::path> paths, weight_files(path));
  CARAT_TRY(const std::vector<SourceFile> files, digest_files(paths, progress));
  if (files.size() == 1) return files.front().sha256;
  std::string lines;
  for (const SourceFile& file : files) lines += file.sha256 + "  " + file.name + "\n";
  return sha256(lines);
}

std::string text_digest(const EvalText& text) {
  Sha256 sha;
  for (const EvalDocument& document : text.documents) {
    sha.update(bytes_of(static_cast<uint64_t>(document.ids.size())));
    sha.update(std::as_bytes(std::span(document.ids)));
  }
  return sha.digest();
}

std::string vocabulary_digest(const Vocabulary& vocabulary) {
  Sha256 sha;
  sha.update(bytes_of(static_cast<int64_t>(vocabulary.bos)));
  for (const std::string& piece : vocabulary.pieces) {
    sha.update(bytes_of(static_cast<uint64_t>(piece.size())));
    sha.update(as_bytes(piece));
  }
  return sha.digest();
}

Result<ReferenceLogits> ReferenceLogits::open(const std::filesystem::path& path) {
  const std::string source = printable(path.string());
  CARAT_TRY(FileMap file, FileMap::open(path));
  const uint64_t size = file.bytes().size();
  std::array<std::byte, kPrefix> prefix{};
  if (size < kPrefix) return damaged(source, "is no file of reference logits, or cut short");
  CARAT_TRY_STATUS(file.read(0, prefix));
  if (as_text(prefix).substr(0, kMagic.size()) != kMagic) return damaged(source, "is no file of reference logits");
  std::array<uint32_t, 2> numbers{};
  std::memcpy(numbers.data(), prefix.data() + kMagic.size(), sizeof numbers);
  const auto [version, length] = numbers;
  if (version != kVersion) {
    return damaged(source, "has version " + std::to_string(version) + " of reference logits, expected " +
                               std::to_string(kVersion));
  }
  if (length > kLongestHeader || length > size - kPrefix) {
    return damaged(source, "is cut short, or its header is damaged");
  }
  std::string text(length, '\0');
  CARAT_TRY_STATUS(file.read(kPrefix, std::as_writable_bytes(std::span(text))));
  CARAT_TRY(LogitsHeader header, parse_header(text, source));
  const uint64_t rows = kPrefix + length;
  const uint64_t expected = rows + row_bytes(header.vocabulary) * static_cast<uint64_t>(header.predictions);
  if (size != expected) {
    return damaged(source, "has " + std::to_string(size) + " bytes, expected " + std::to_string(expected) + " for " +
                               std::to_string(header.predictions) + " predictions");
  }
  return ReferenceLogits(std::move(file), std::move(header), rows);
}

Status ReferenceLogits::check(const LogitsHeader& wanted) const {
  const auto refusal = [&](const std::string& what) {
    return refused(printable(file_.name()) + ": the reference logits are of " + what);
  };
  if (header_.vocabulary != wanted.vocabulary) {
    return refusal("another vocabulary: " + std::to_string(header_.vocabulary) + " ids, the model has " +
                   std::to_string(wanted.vocabulary));
  }
  if (header_.vocabulary_sha256 != wanted.vocabulary_sha256) {
    return refusal("another vocabulary: as many ids as the model's, but other pieces");
  }
  if (header_.text_sha256 != wanted.text_sha256 || header_.predictions != wanted.predictions) {
    return refusal("another text: " + std::to_string(header_.predictions) + " predictions, this text has " +
                   std::to_string(wanted.predictions));
  }
  if (header_.positions == wanted.positions && header_.overlap == wanted.overlap) return success();
  const auto division = [](const LogitsHeader& header) {
    return std::to_string(header.positions) + " positions with an overlap of " + std::to_string(header.overlap);
  };
  return refusal("other windows: " + division(header_) + ", these are " + division(wanted));
}

Status ReferenceLogits::read(int64_t row, std::span<float> out) const {
  CARAT_CHECK(row >= 0 && row < header_.predictions, "a row of the file");
  CARAT_CHECK(out.size() == static_cast<size_t>(header_.vocabulary), "room for a row");
  uint64_t offset = rows_ + row_bytes(header_.vocabulary) * static_cast<uint64_t>(row);
  RowHead head;
  CARAT_TRY_STATUS(file_.read(offset, std::as_writable_bytes(std::span(&head, 1))));
  const auto row_is_damaged = [&]() -> Status {
    return damaged(printable(file_.name()), "row " + std::to_string(row) + " is damaged");
  };
  if (!head.grid.usable()) return row_is_damaged();
  offset += sizeof head;
  RowCheck check(head.grid);
  std::array<uint16_t, 4096> codes;
  while (!out.empty()) {
    const size_t count = std::min(out.size(), codes.size());
    CARAT_TRY_STATUS(file_.read(offset, std::as_writable_bytes(std::span(codes).first(count))));
    for (size_t i = 0; i < count; ++i) {
      out[i] = head.grid.at(codes[i]);
      check.add(codes[i]);
    }
    offset += sizeof(uint16_t) * count;
    out = out.subspan(count);
  }
  return check.sum() == head.check ? success() : row_is_damaged();
}

bool is_reference_logits(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  std::array<char, kMagic.size()> magic{};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic.data(), magic.size()) && std::string_view(magic.data(), magic.size()) == kMagic;
}

uint64_t ReferenceLogitsWriter::file_bytes(const LogitsHeader& header) {
  return kPrefix + header_text(header).size() +
         row_bytes(header.vocabulary) * static_cast<uint64_t>(header.predictions);
}

Result<ReferenceLogitsWriter> ReferenceLogitsWriter::create(const std::filesystem::path& path,
                                                            const LogitsHeader& header) {
  const uint64_t needed = file_bytes(header);
  std::error_code error;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (!error && space.available < needed) {
    return failed(printable(path.string()) + ": the reference logits take " + std::to_string(needed) +
                  " bytes, the disk has room for " + std::to_string(space.available) +
                  "; free some, or take a shorter text");
  }
  CARAT_TRY(AtomicFile file, AtomicFile::create(path));
  const std::string text = header_text(header);
  CARAT_TRY_STATUS(file.write(kMagic));
  CARAT_TRY_STATUS(file.write(bytes_of(kVersion)));
  CARAT_TRY_STATUS(file.write(bytes_of(static_cast<uint32_t>(text.size()))));
  CARAT_TRY_STATUS(file.write(text));
  return ReferenceLogitsWriter(std::move(file), header);
}

Status ReferenceLogitsWriter::add(std::span<const float> logits) {
  const auto V = static_cast<size_t>(header_.vocabulary);
  CARAT_CHECK(logits.size() % V == 0, "whole rows");
  codes_.resize(V);
  for (; !logits.empty(); logits = logits.subspan(V), ++rows_) {
    const std::span<const float> row = logits.first(V);
    const Grid grid = grid_of(row);
    std::ranges::transform(row, codes_.begin(), [&](float logit) { return code_of(grid, logit); });
    RowCheck check(grid);
    for (const uint16_t code : codes_) check.add(code);
    CARAT_TRY_STATUS(file_.write(bytes_of(RowHead{grid, check.sum()})));
    CARAT_TRY_STATUS(file_.write(std::as_bytes(std::span(codes_))));
  }
  return success();
}

Status ReferenceLogitsWriter::commit() {
  CARAT_CHECK(rows_ == header_.predictions, "all rows are there");
  return file_.commit();
}

}  // namespace carat
