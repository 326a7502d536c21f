#include "model/filler_vocabulary.h"

#include <array>
#include <string_view>

#include "base/check.h"

namespace carat {
namespace {

struct SpecialPiece {
  std::string_view text;
  PieceType type;
};

constexpr std::array<SpecialPiece, 24> kSpecialPieces = {{
    {"<pad>", PieceType::kControl},
    {"<eos>", PieceType::kControl},
    {"<bos>", PieceType::kControl},
    {"<unk>", PieceType::kControl},
    {"<mask>", PieceType::kControl},
    {"<|tool>", PieceType::kControl},
    {"<tool|>", PieceType::kControl},
    {"<|tool_call>", PieceType::kUserDefined},
    {"<tool_call|>", PieceType::kUserDefined},
    {"<|tool_response>", PieceType::kUserDefined},
    {"<tool_response|>", PieceType::kUserDefined},
    {"<|\"|>", PieceType::kUserDefined},
    {"<|think|>", PieceType::kControl},
    {"<|channel>", PieceType::kUserDefined},
    {"<channel|>", PieceType::kUserDefined},
    {"<|turn>", PieceType::kControl},
    {"<turn|>", PieceType::kControl},
    {"<|image>", PieceType::kControl},
    {"<|audio>", PieceType::kControl},
    {"<|image|>", PieceType::kControl},
    {"<|audio|>", PieceType::kControl},
    {"<image|>", PieceType::kControl},
    {"<audio|>", PieceType::kControl},
    {"<|video|>", PieceType::kControl},
}};

constexpr std::string_view kSpace = "\u2581";
constexpr float kSpecialScore = -1000.0f;

void add(Vocabulary& vocabulary, std::string piece, PieceType type) {
  const bool special = type == PieceType::kControl || type == PieceType::kUserDefined;
  vocabulary.scores.push_back(special ? kSpecialScore : -static_cast<float>(vocabulary.size()));
  vocabulary.pieces.push_back(std::move(piece));
  vocabulary.types.push_back(type);
}

void add_characters(Vocabulary& vocabulary) {
  add(vocabulary, "\n", PieceType::kNormal);
  add(vocabulary, std::string(kSpace), PieceType::kNormal);
  for (char character = '!'; character <= '~'; ++character) {
    add(vocabulary, std::string(1, character), PieceType::kNormal);
  }
}

void add_bytes(Vocabulary& vocabulary) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    add(vocabulary, {'<', '0', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15], '>'}, PieceType::kByte);
  }
}

}  // namespace

Vocabulary filler_vocabulary(int64_t size) {
  CARAT_CHECK(size >= kSmallestFillerVocabulary && size <= kLargestVocabulary, "a possible size of a vocabulary");
  Vocabulary vocabulary;
  for (const SpecialPiece& piece : kSpecialPieces) add(vocabulary, std::string(piece.text), piece.type);
  vocabulary.padding = 0;
  vocabulary.eos = 1;
  vocabulary.bos = 2;
  vocabulary.unknown = 3;
  vocabulary.mask = 4;
  vocabulary.stop = {vocabulary.eos, 16, 9};  // the end of the text, of a turn, of a tool call
  add_bytes(vocabulary);
  add_characters(vocabulary);
  while (vocabulary.size() < size) {
    add(vocabulary, std::string(kSpace) + std::to_string(vocabulary.size()), PieceType::kNormal);
  }
  return vocabulary;
}

}  // namespace carat
