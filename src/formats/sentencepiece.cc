#include "formats/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "base/utf8.h"
#include "formats/protobuf.h"
#include "formats/quote.h"

namespace carat {
namespace {

// All splits of all pieces are looked up; Gemma's longest piece has 96 bytes.
constexpr size_t kLongestPiece = 256;
constexpr size_t kMostSplitsPerPiece = 8;  // on average; Gemma's have two

using PieceIds = std::unordered_map<std::string_view, int32_t>;

/// What the file says of how it was trained and of what is done to text; absent fields are as the format says.
struct Settings {
  int64_t model_type = 1;
  bool byte_fallback = false;
  bool space_as_suffix = false;
  int64_t unknown = 0, bos = 1, eos = 2, padding = -1;
  bool character_map = false;
  bool dummy_prefix = true;
  bool removes_spaces = true;
  bool escapes_spaces = true;
};

Error wrong_kind(const std::string& source, const std::string& field) {
  return refused(source + ": " + field + ": is of another kind than SentencePiece writes; the file is damaged");
}

template <typename T, typename Value>
Status set(T& target, const std::optional<Value>& value, const std::string& source, const char* field) {
  if (!value) return wrong_kind(source, field);
  target = static_cast<T>(*value);
  return success();
}

Status read_trainer(const ProtoField& field, const std::string& source, Settings& settings) {
  switch (field.number) {
    case 3:
      return set(settings.model_type, field.integer(), source, "trainer_spec.model_type");
    case 24:
      return set(settings.space_as_suffix, field.flag(), source, "trainer_spec.treat_whitespace_as_suffix");
    case 35:
      return set(settings.byte_fallback, field.flag(), source, "trainer_spec.byte_fallback");
    case 40:
      return set(settings.unknown, field.integer(), source, "trainer_spec.unk_id");
    case 41:
      return set(settings.bos, field.integer(), source, "trainer_spec.bos_id");
    case 42:
      return set(settings.eos, field.integer(), source, "trainer_spec.eos_id");
    case 43:
      return set(settings.padding, field.integer(), source, "trainer_spec.pad_id");
    default:
      return success();
  }
}

Status read_normalizer(const ProtoField& field, const std::string& source, Settings& settings) {
  switch (field.number) {
    case 2: {
      if (!field.text()) return wrong_kind(source, "normalizer_spec.precompiled_charsmap");
      settings.character_map = !field.text()->empty();
      return success();
    }
    case 3:
      return set(settings.dummy_prefix, field.flag(), source, "normalizer_spec.add_dummy_prefix");
    case 4:
      return set(settings.removes_spaces, field.flag(), source, "normalizer_spec.remove_extra_whitespaces");
    case 5:
      return set(settings.escapes_spaces, field.flag(), source, "normalizer_spec.escape_whitespaces");
    default:
      return success();
  }
}

template <typename Read>
Status for_each_field(Bytes message, const std::string& source, Read read) {
  ProtoReader reader(message, source);
  while (!reader.at_end()) {
    CARAT_TRY(const ProtoField field, reader.next());
    CARAT_TRY_STATUS(read(field));
  }
  return success();
}

/// A marker stands for something that is not text: `<|turn>`, `<channel|>`.
bool is_marker(std::string_view piece) {
  return piece.size() > 3 && piece.front() == '<' && piece.back() == '>' &&
         (piece[1] == '|' || piece[piece.size() - 2] == '|');
}

PieceType type_of(std::string_view piece, PieceType stored) {
  const bool defined = stored == PieceType::kUserDefined && is_marker(piece);
  if (stored == PieceType::kControl || stored == PieceType::kUnknown || defined) {
    return is_printed_piece(piece) ? PieceType::kUserDefined : PieceType::kControl;
  }
  return stored == PieceType::kUserDefined ? PieceType::kNormal : stored;
}

class ModelReader {
 public:
  explicit ModelReader(const std::string& source) : source_(source) {}

  Result<Vocabulary> read(Bytes bytes) {
    CARAT_TRY_STATUS(for_each_field(bytes, source_, [this](const ProtoField& field) { return read_field(field); }));
    CARAT_TRY_STATUS(check_settings());
    for (int32_t id = 0; id < vocabulary_.size(); ++id) ids_.emplace(piece(id), id);
    CARAT_TRY_STATUS(set_base_ids());
    CARAT_TRY_STATUS(add_merges());
    CARAT_TRY([[maybe_unused]] const std::vector<int32_t> merged, check_vocabulary(vocabulary_, source_));
    return std::move(vocabulary_);
  }

 private:
  std::string_view piece(int32_t id) const { return vocabulary_.pieces[static_cast<size_t>(id)]; }

  Status read_field(const ProtoField& field) {
    if (field.number < 1 || field.number > 3) return success();
    if (!field.text()) return wrong_kind(source_, "field " + std::to_string(field.number));
    if (field.number == 1) return read_piece(field.bytes);
    return for_each_field(field.bytes, source_, [&](const ProtoField& inner) {
      return field.number == 2 ? read_trainer(inner, source_, settings_) : read_normalizer(inner, source_, settings_);
    });
  }

  Status read_piece(Bytes message) {
    const std::string where = source_ + ": piece " + std::to_string(vocabulary_.size());
    if (vocabulary_.size() >= kLargestVocabulary) {
      return refused(where + ": expected at most " + std::to_string(kLargestVocabulary) + " pieces");
    }
    Bytes text;
    float score = 0.0f;
    int64_t type = static_cast<int64_t>(PieceType::kNormal);
    CARAT_TRY_STATUS(for_each_field(message, where, [&](const ProtoField& field) -> Status {
      if (field.number == 1) return set(text, field.text(), where, "text");
      if (field.number == 2) return set(score, field.number32(), where, "score");
      if (field.number == 3) return set(type, field.integer(), where, "type");
      return success();
    }));
    return add_piece(as_text(text), score, type, where);
  }

  Status add_piece(std::string_view text, float score, int64_t type, const std::string& where) {
    if (text.empty() || text.size() > kLongestPiece || !is_valid_utf8(text)) {
      return refused(where + ": expected 1 to " + std::to_string(kLongestPiece) + " bytes of UTF-8, found " +
                     std::to_string(text.size()) + " bytes: " + in_quotes(text));
    }
    if (!std::isfinite(score)) return refused(where + ": " + in_quotes(text) + " has a score that is no number");
    if (type < static_cast<int64_t>(PieceType::kNormal) || type > static_cast<int64_t>(PieceType::kByte)) {
      return refused(where + ": " + in_quotes(text) + " has the type " + std::to_string(type) + ", expected 1 to 6");
    }
    vocabulary_.pieces.emplace_back(text);
    vocabulary_.scores.push_back(score);
    vocabulary_.types.push_back(type_of(text, static_cast<PieceType>(type)));
    return success();
  }

  Status check_settings() const {
    constexpr int64_t kBpe = 2;
    const auto refusal = [this](const std::string& what) {
      return refused(source_ + ": " + what + "; expected a tokenizer of Gemma's form");
    };
    if (vocabulary_.pieces.empty()) return refusal("has no pieces");
    if (settings_.model_type != kBpe) {
      return refusal("trainer_spec.model_type: expected 2 (BPE), found " + std::to_string(settings_.model_type));
    }
    if (!settings_.byte_fallback) return refusal("trainer_spec.byte_fallback: expected true");
    if (settings_.space_as_suffix) return refusal("trainer_spec.treat_whitespace_as_suffix: expected false");
    if (settings_.character_map) return refusal("normalizer_spec.precompiled_charsmap: expected none");
    if (settings_.dummy_prefix) return refusal("normalizer_spec.add_dummy_prefix: expected false");
    if (settings_.removes_spaces) return refusal("normalizer_spec.remove_extra_whitespaces: expected false");
    if (!settings_.escapes_spaces) return refusal("normalizer_spec.escape_whitespaces: expected true");
    return success();
  }

  Result<int32_t> base_id(const char* name, int64_t id) const {
    if (id >= -1 && id < vocabulary_.size()) return static_cast<int32_t>(id);
    return refused(source_ + ": trainer_spec." + name + ": expected less than " + std::to_string(vocabulary_.size()) +
                   ", found " + std::to_string(id));
  }

  Status set_base_ids() {
    CARAT_TRY(vocabulary_.bos, base_id("bos_id", settings_.bos));
    CARAT_TRY(vocabulary_.eos, base_id("eos_id", settings_.eos));
    CARAT_TRY(vocabulary_.unknown, base_id("unk_id", settings_.unknown));
    CARAT_TRY(vocabulary_.padding, base_id("pad_id", settings_.padding));
    if (const auto mask = ids_.find("<mask>"); mask != ids_.end()) vocabulary_.mask = mask->second;
    if (vocabulary_.eos >= 0) vocabulary_.stop = {vocabulary_.eos};
    return success();
  }

  struct Split {
    float score;  // of the whole
    size_t left_characters;
    size_t right_characters;
    Merge merge;
  };

  Status add_merges() {
    const size_t most = kMostSplitsPerPiece * vocabulary_.pieces.size();
    std::vector<Split> splits;
    for (int32_t id = 0; id < vocabulary_.size(); ++id) {
      add_splits(id, splits);
      if (splits.size() > most) {
        return refused(source_ + ": its pieces can be put together from others in more than " + std::to_string(most) +
                       " ways; expected a vocabulary that was learned from text");
      }
    }
    std::ranges::stable_sort(splits, [](const Split& a, const Split& b) {
      return std::tie(a.score, a.left_characters, a.right_characters) >
             std::tie(b.score, b.left_characters, b.right_characters);
    });
    vocabulary_.merges.reserve(splits.size());
    for (const Split& split : splits) vocabulary_.merges.push_back(split.merge);
    return success();
  }

  /// Those of one piece differ in the length of their left part, so that no further order is needed.
  void add_splits(int32_t id, std::vector<Split>& splits) const {
    const std::string_view whole = piece(id);
    const size_t first = splits.size();
    size_t characters = 0;
    for (size_t at = 0; at < whole.size(); ++characters) {  // the empty text is no piece
      const auto left = ids_.find(whole.substr(0, at));
      const auto right = ids_.find(whole.substr(at));
      if (left != ids_.end() && right != ids_.end()) {
        splits.push_back({vocabulary_.scores[static_cast<size_t>(id)], characters, 0, {left->second, right->second}});
      }
      at += utf8_front(whole.substr(at)).size;
    }
    for (size_t i = first; i < splits.size(); ++i) splits[i].right_characters = characters - splits[i].left_characters;
  }

  const std::string& source_;
  Settings settings_;
  Vocabulary vocabulary_;
  PieceIds ids_;
};

}  // namespace

Result<Vocabulary> vocabulary_from_sentencepiece(Bytes bytes, const std::string& source) {
  if (bytes.size() > kLargestSentencePieceModel) {
    return refused(source + ": " + std::to_string(bytes.size()) + " bytes, expected at most " +
                   std::to_string(kLargestSentencePieceModel));
  }
  return ModelReader(source).read(bytes);
}

}  // namespace carat
