#include <nlohmann/json.hpp>

#include "formats/vocabulary.h"

namespace carat {
namespace {

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

// Writes entries one a line with commas between them.
class Lines {
 public:
  explicit Lines(std::string& out) : out_(&out) {}

  std::string& next() {
    if (!first_) *out_ += ',';
    first_ = false;
    *out_ += '\n';
    return *out_;
  }

 private:
  std::string* out_;
  bool first_ = true;
};

void write_added_tokens(const Vocabulary& vocabulary, std::string& out) {
  Lines lines(out);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!is_special_piece(vocabulary, id)) continue;
    const bool printed = vocabulary.types[static_cast<size_t>(id)] == PieceType::kUserDefined;
    lines.next() += "{\"id\":" + std::to_string(id) +
                    ",\"content\":" + json_text(vocabulary.pieces[static_cast<size_t>(id)]) +
                    ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":" +
                    (printed ? "false}" : "true}");
  }
}

void write_pieces(const Vocabulary& vocabulary, std::string& out) {
  Lines lines(out);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    lines.next() += json_text(vocabulary.pieces[static_cast<size_t>(id)]) + ":" + std::to_string(id);
  }
}

void write_merges(const Vocabulary& vocabulary, std::string& out) {
  Lines lines(out);
  for (const Merge merge : vocabulary.merges) {
    lines.next() += "[" + json_text(vocabulary.pieces[static_cast<size_t>(merge.left)]) + "," +
                    json_text(vocabulary.pieces[static_cast<size_t>(merge.right)]) + "]";
  }
}

}  // namespace

std::string vocabulary_to_tokenizer_json(const Vocabulary& vocabulary) {
  const std::string unknown =
      vocabulary.unknown < 0 ? "null" : json_text(vocabulary.pieces[static_cast<size_t>(vocabulary.unknown)]);
  std::string out = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n\"added_tokens\":[";
  write_added_tokens(vocabulary, out);
  out +=
      "\n],\n"
      "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"},\n"
      "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},"
      "\"behavior\":\"MergedWithPrevious\",\"invert\":false},\n"
      "\"post_processor\":null,\n"
      "\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},\"content\":\" \"},"
      "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},\n"
      "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":" +
      unknown +
      ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":true,\"byte_fallback\":true,"
      "\"ignore_merges\":false,\n\"vocab\":{";
  write_pieces(vocabulary, out);
  out += "\n},\n\"merges\":[";
  write_merges(vocabulary, out);
  out += "\n]}}\n";
  return out;
}

}  // namespace carat
