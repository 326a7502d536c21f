#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file_map.h"
#include "base/result.h"

namespace carat {

/// What a section of a LiteRT-LM bundle is; the values are those in the file. Others are kept by their number.
enum class LitertlmKind : uint8_t {
  kNone = 0,
  kBinary = 1,
  kDeprecated = 2,
  kTfliteModel = 3,
  kSentencePiece = 4,
  kLlmMetadata = 5,
  kHfTokenizer = 6,
  kTfliteWeights = 7,
};

/// "TFLiteModel", "SP_Tokenizer", as LiteRT-LM calls them; "section type 77" for one that is unknown.
std::string litertlm_kind_name(LitertlmKind kind);

struct LitertlmSection {
  LitertlmKind kind;
  std::string_view model_type;  ///< of a model, "tf_lite_prefill_decode"; empty for others
  uint64_t begin;               ///< byte of the file
  Bytes data;
};

/// What a bundle holds. Views lie in the bytes that were parsed.
///
///     "LITERTLM"  version u32 x 3  padding u32  end of header u64  header (flatbuffer)  sections at multiples of 16
///     KiB
///
/// The header lists the sections with their ends and what each is (google-ai-edge/LiteRT-LM:
/// schema/core/litertlm_header_schema.fbs).
struct LitertlmContent {
  std::string version;  ///< "1.5.0"
  std::vector<LitertlmSection> sections;

  /// Null when there is none.
  const LitertlmSection* find(LitertlmKind kind, std::string_view model_type = "") const;
};

/// Refuses another major version than 1, sections that do not lie inside the file or overlap, and more of them than
/// any bundle has. `source` names the bytes in messages.
Result<LitertlmContent> parse_litertlm(Bytes bytes, const std::string& source);

/// Whether a path names a bundle: it ends in ".litertlm".
bool is_litertlm_path(const std::filesystem::path& path);

}  // namespace carat
