#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat {

/// What a piece is; the values are those of GGUF's `tokenizer.ggml.token_type`.
enum class PieceType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// Joins the pieces `left` and `right` into the piece whose text is both texts one after the other.
struct Merge {
  int32_t left;
  int32_t right;
};

/// How a model likes to be sampled when the user does not say (generation_config.json, general.sampling.*).
struct SamplingDefaults {
  float temperature = 1.0f;
  int32_t top_k = 64;
  float top_p = 0.95f;
};

/// A tokenizer's data, whatever file it came from. A space is U+2581 inside pieces.
struct Vocabulary {
  std::vector<std::string> pieces;  ///< by id
  std::vector<PieceType> types;     ///< by id
  std::vector<float> scores;        ///< by id; kept for GGUF, not used for encoding
  std::vector<Merge> merges;        ///< in rank order: the first is applied first
  int32_t bos = -1;
  int32_t eos = -1;  ///< end of text (`<eos>`)
  int32_t unknown = -1;
  int32_t padding = -1;
  int32_t mask = -1;
  std::vector<int32_t> stop;        ///< ids that end a generation, for instance <eos> and the end of a turn
  std::vector<int32_t> suppressed;  ///< ids that are never generated (suppress_tokens)
  SamplingDefaults sampling;
  std::string chat_template;  ///< Jinja text; empty when the file has none

  int32_t size() const { return static_cast<int32_t>(pieces.size()); }
};

/// Largest vocabulary that is accepted, so that a file cannot make us allocate without bound.
inline constexpr int64_t kLargestVocabulary = 1 << 20;
inline constexpr size_t kMostMerges = size_t{1} << 26;

/// Most bytes of a chat template that are taken, from any file; Gemma's has 20 kB.
inline constexpr size_t kLongestChatTemplate = size_t{1} << 20;

/// Checks what every tokenizer relies on, whatever file the data came from: one type and score a piece, texts of valid
/// UTF-8, none of them empty or there twice, all 256 byte pieces `<0x00>` to `<0xFF>`, base ids and merges in range,
/// and a piece for what each merge builds. Returns the id of that piece for each merge. `source` names the file in
/// messages.
Result<std::vector<int32_t>> check_vocabulary(const Vocabulary& vocabulary, const std::string& source);

/// Whether the piece stands for something that is not text (a turn, a tool call, the start of a text), so that it is
/// written only on purpose: control and user-defined pieces and the base ids.
bool is_special_piece(const Vocabulary& vocabulary, int32_t id);

/// Whether who reads an answer has to see the piece: the markers of calls, of results, of quotes in them and of
/// thoughts. GGUF files call it user-defined; where other files call it special, it becomes user-defined as well.
bool is_printed_piece(std::string_view piece);

/// Largest tokenizer.json that is read; Gemma 4's has 32 MB.
inline constexpr size_t kLargestTokenizerJson = size_t{256} << 20;

/// Reads tokenizer.json (BPE with byte fallback, as Gemma's) without building a document tree.
/// `source` names the file in messages. Fills pieces, types, scores, merges and the base ids; `stop` holds <eos>.
/// Scores are minus the id, and -1000 for special pieces; the file has none.
Result<Vocabulary> vocabulary_from_tokenizer_json(const std::string& text, const std::string& source);

/// The tokenizer.json that HuggingFace tokenizers loads to the same ids, one entry a line. Gives the same bytes as
/// tools/train_vocabulary.py.
std::string vocabulary_to_tokenizer_json(const Vocabulary& vocabulary);

/// Reads generation_config.json into `stop`, `suppressed` and `sampling`; what the file does not name stays as it is.
/// `do_sample: false` reads as temperature 0. Ids outside the vocabulary are refused.
Status read_generation_config(const std::string& text, const std::string& source, Vocabulary& vocabulary);
std::string generation_config_json(const Vocabulary& vocabulary);

}  // namespace carat
