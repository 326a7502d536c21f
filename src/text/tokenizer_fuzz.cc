#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "text/stream.h"
#include "text/tokenizer.h"

namespace {

// The bytes, and a few letters with merges that overlap.
carat::Vocabulary small_vocabulary() {
  carat::Vocabulary vocabulary;
  vocabulary.pieces = {"<bos>", "<eos>"};
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    vocabulary.pieces.push_back({'<', '0', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15], '>'});
  }
  vocabulary.types.assign(vocabulary.pieces.size(), carat::PieceType::kByte);
  for (const char* piece : {"a", "\u2581", "\n", "aa", "\u2581a", "a\u2581", "aaa", "a\u2581a"}) {
    vocabulary.pieces.emplace_back(piece);
  }
  vocabulary.types.resize(vocabulary.pieces.size(), carat::PieceType::kNormal);
  vocabulary.types[0] = vocabulary.types[1] = carat::PieceType::kControl;
  vocabulary.scores.assign(vocabulary.pieces.size(), 0.0f);
  vocabulary.bos = 0;
  vocabulary.eos = 1;
  vocabulary.merges = {{258, 258}, {259, 258}, {258, 259}, {261, 258}, {258, 261}, {258, 262}, {263, 258}};
  return vocabulary;
}

}  // namespace

// Whatever the bytes: text comes back as it was, and the stream says what decode says.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const carat::Tokenizer tokenizer = carat::Tokenizer::create(small_vocabulary()).value();
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto ids = tokenizer.encode(bytes);
  const std::string text = tokenizer.decode(ids);
  std::string expected = carat::to_valid_utf8(bytes);
  constexpr std::string_view kSpace = "\u2581";
  for (size_t at = expected.find(kSpace); at != std::string::npos; at = expected.find(kSpace, at)) {
    expected.replace(at, kSpace.size(), " ");
  }
  CARAT_CHECK(text == expected, "decode(encode(x)) is not x");
  carat::TextStream stream(tokenizer);
  std::string streamed;
  for (const int32_t id : ids) streamed += stream.append(id);
  CARAT_CHECK(streamed + stream.end() == text, "the stream differs from decode");
  static_cast<void>(tokenizer.encode(bytes, true));
  return 0;
}
