#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "formats/vocabulary.h"

namespace carat {

/// Largest tokenizer.model that is read; Gemma's has 5 MB.
inline constexpr size_t kLargestSentencePieceModel = size_t{32} << 20;

/// Reads a SentencePiece model (tokenizer.model: the message ModelProto of google/sentencepiece,
/// src/sentencepiece_model.proto), a BPE with byte fallback that changes no text, as Gemma's. `source` names the file
/// in messages. What contradicts that form is refused by its name.
///
/// The file has scores and no merges. Merges are all splits of a piece into two pieces, best score of the whole first,
/// then the longest left part, then the longest right part: the order of `generate_merges` in HuggingFace transformers,
/// so that the ids of a text are those of the tokenizer.json that it writes. Kinds of pieces are those that the reader
/// of tokenizer.json gives; a user-defined piece that is no marker, `\n\n` or `<table>`, is ordinary text.
Result<Vocabulary> vocabulary_from_sentencepiece(Bytes bytes, const std::string& source);

}  // namespace carat
