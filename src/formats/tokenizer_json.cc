#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "formats/quote.h"
#include "formats/vocabulary.h"

namespace carat {
namespace {

using nlohmann::json;

constexpr float kSpecialScore = -1000.0f;

struct AddedToken {
  std::optional<uint64_t> id;
  std::optional<std::string> text;
  bool special = false;
};

struct VocabularyEntry {
  std::string text;
  uint64_t id = 0;
};

// Both texts of a merge lie one after the other in one long string; half a million small strings would be slow.
struct MergeSizes {
  uint32_t left = 0;
  uint32_t right = 0;
};

struct TokenizerFile {
  std::vector<AddedToken> added;
  std::vector<VocabularyEntry> entries;
  std::string merge_texts;
  std::vector<MergeSizes> merges;
  std::string model_type;
  bool byte_fallback = false;
  std::string normalizer_type;
  std::string normalizer_pattern;
  std::string normalizer_content;
  std::string pre_tokenizer_type;
};

// Collects the fields that matter while the parser walks through the file; everything else passes by.
class TokenizerSax : public nlohmann::json_sax<json> {
 public:
  TokenizerSax(TokenizerFile& file, std::string source) : file_(file), source_(std::move(source)) {}

  const std::string& problem() const { return problem_; }

  bool null() override { return scalar_of_other_type("null"); }
  bool number_float(double, const std::string&) override { return scalar_of_other_type("a fraction"); }
  bool number_integer(int64_t) override { return scalar_of_other_type("a negative number"); }
  bool binary(json::binary_t&) override { return scalar_of_other_type("bytes"); }

  bool boolean(bool value) override {
    if (at({"added_tokens", "", "special"})) {
      file_.added.back().special = value;
    } else if (at({"model", "byte_fallback"})) {
      file_.byte_fallback = value;
    } else {
      return scalar_of_other_type("true or false");
    }
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (at({"added_tokens", "", "id"})) {
      file_.added.back().id = value;
    } else if (at_entry()) {
      file_.entries.push_back({path_.back(), value});
    } else {
      return scalar_of_other_type("a number");
    }
    return true;
  }

  bool string(std::string& value) override {
    if (at({"model", "merges", ""})) return merge_line(value);
    if (at({"model", "merges", "", ""})) return merge_part(value);
    if (at({"added_tokens", "", "content"})) {
      file_.added.back().text = value;
    } else if (std::string* const field = text_field()) {
      *field = value;
    } else {
      return scalar_of_other_type("a string");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (at({"added_tokens", ""})) file_.added.emplace_back();
    if (at_entry() || at({"model", "merges", ""}) || at({"model", "merges", "", ""})) return wrong("an object");
    return enter();
  }

  bool start_array(size_t) override {
    if (at_entry() || at({"model", "vocab"}) || at({"model", "merges", "", ""})) return wrong("an array");
    if (at({"model", "merges", ""})) parts_.clear();
    return enter();
  }

  bool key(std::string& value) override {
    if (depth_ <= kWatchedDepth) path_.back() = value;
    return true;
  }

  bool end_object() override { return leave(); }

  bool end_array() override {
    leave();
    if (!at({"model", "merges", ""})) return true;
    return parts_.size() == 2 ? add_merge(parts_[0], parts_[1]) : wrong(std::to_string(parts_.size()) + " texts");
  }

  bool parse_error(size_t position, const std::string&, const json::exception&) override {
    problem_ = source_ + ": is no valid JSON at byte " + std::to_string(position) + "; copy the file again";
    return false;
  }

 private:
  // Deeper values hold nothing that is read, so that a deeply nested file costs no memory here.
  static constexpr size_t kWatchedDepth = 4;

  // Inside an array the key is empty.
  bool at(std::initializer_list<std::string_view> path) const {
    return depth_ == path.size() && std::equal(path.begin(), path.end(), path_.begin(), path_.end());
  }

  bool at_entry() const { return depth_ == 3 && path_[0] == "model" && path_[1] == "vocab"; }

  std::string* text_field() {
    if (at({"model", "type"})) return &file_.model_type;
    if (at({"normalizer", "type"})) return &file_.normalizer_type;
    if (at({"normalizer", "pattern", "String"})) return &file_.normalizer_pattern;
    if (at({"normalizer", "content"})) return &file_.normalizer_content;
    if (at({"pre_tokenizer", "type"})) return &file_.pre_tokenizer_type;
    return nullptr;
  }

  bool enter() {
    if (++depth_ <= kWatchedDepth) path_.emplace_back();
    return true;
  }

  bool leave() {
    if (depth_-- <= kWatchedDepth) path_.pop_back();
    return true;
  }

  bool scalar_of_other_type(const std::string& found) {
    const bool read = at_entry() || at({"model", "merges", ""}) || at({"model", "merges", "", ""}) ||
                      at({"added_tokens", "", "id"}) || at({"added_tokens", "", "content"}) ||
                      at({"model", "byte_fallback"}) || at({"model", "type"});
    return read ? wrong(found) : true;
  }

  bool wrong(const std::string& found) {
    problem_ = source_ + ": ";
    for (const std::string& name : path_) problem_ += (name.empty() ? "[]" : printable(name)) + ": ";
    problem_ += "found " + found + ", expected the form of Gemma's tokenizer.json";
    return false;
  }

  // "left right"; a piece can be a space in itself only at the front.
  bool merge_line(std::string_view line) {
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos) return wrong("the merge " + in_quotes(line) + " without a space");
    return add_merge(line.substr(0, space), line.substr(space + 1));
  }

  bool merge_part(std::string& part) {
    if (parts_.size() == 2) return wrong("a merge of more than two texts");
    parts_.push_back(part);
    return true;
  }

  bool add_merge(std::string_view left, std::string_view right) {
    file_.merges.push_back({static_cast<uint32_t>(left.size()), static_cast<uint32_t>(right.size())});
    file_.merge_texts.append(left).append(right);
    return true;
  }

  TokenizerFile& file_;
  std::string source_;
  std::string problem_;
  std::vector<std::string> path_;
  size_t depth_ = 0;
  std::vector<std::string> parts_;
};

using PieceIds = std::unordered_map<std::string_view, int32_t>;

Status check_model(const TokenizerFile& file, const std::string& source) {
  if (file.model_type != "BPE") {
    return refused(source + ": model.type is " + in_quotes(file.model_type) + ", expected \"BPE\" with byte fallback");
  }
  if (!file.byte_fallback) return refused(source + ": model.byte_fallback is not true; expected it as in Gemma's");
  if (file.normalizer_type != "Replace" || file.normalizer_pattern != " " || file.normalizer_content != "\u2581") {
    return refused(source + ": normalizer: expected only the replacement of a space by U+2581, found type " +
                   in_quotes(file.normalizer_type));
  }
  if (!file.pre_tokenizer_type.empty() && file.pre_tokenizer_type != "Split") {
    return refused(source + ": pre_tokenizer: expected none or \"Split\", found " + in_quotes(file.pre_tokenizer_type));
  }
  return success();
}

// An added token may also stand in the model's vocabulary, then under the same id.
Status append_added_tokens(TokenizerFile& file, const std::string& source) {
  std::unordered_map<std::string_view, uint64_t> known;
  known.reserve(file.entries.size());
  for (const VocabularyEntry& entry : file.entries) known.emplace(entry.text, entry.id);
  std::vector<VocabularyEntry> further;
  for (const AddedToken& token : file.added) {
    if (!token.id || !token.text) return refused(source + ": added_tokens: an entry has no \"id\" or no \"content\"");
    const auto found = known.find(*token.text);
    if (found == known.end()) {
      further.push_back({*token.text, *token.id});
    } else if (found->second != *token.id) {
      return refused(source + ": added token " + in_quotes(*token.text) + " has the id " + std::to_string(*token.id) +
                     ", but " + std::to_string(found->second) + " in model.vocab; expected the same");
    }
  }
  file.entries.insert(file.entries.end(), std::make_move_iterator(further.begin()),
                      std::make_move_iterator(further.end()));
  return success();
}

Result<std::vector<std::string>> pieces_by_id(std::vector<VocabularyEntry> entries, const std::string& source) {
  const size_t count = entries.size();
  if (count > static_cast<size_t>(kLargestVocabulary)) {
    return refused(source + ": " + std::to_string(count) + " pieces, expected at most " +
                   std::to_string(kLargestVocabulary));
  }
  std::vector<std::string> pieces(count);
  std::vector<bool> taken(count, false);
  for (VocabularyEntry& entry : entries) {
    if (entry.id >= count) {
      return refused(source + ": piece " + in_quotes(entry.text) + " has the id " + std::to_string(entry.id) +
                     ", but " + std::to_string(count) + " pieces need ids below " + std::to_string(count) +
                     " without holes");
    }
    if (taken[entry.id]) return refused(source + ": two pieces have the id " + std::to_string(entry.id));
    taken[entry.id] = true;
    pieces[entry.id] = std::move(entry.text);
  }
  return pieces;
}

bool is_byte_piece(std::string_view piece) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  return piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with('>') &&
         piece.substr(3, 2).find_first_not_of(kHexDigits) == std::string_view::npos;
}

int32_t id_or_none(const PieceIds& ids, std::string_view piece) {
  const auto found = ids.find(piece);
  return found == ids.end() ? -1 : found->second;
}

void set_types(const std::vector<AddedToken>& added, const PieceIds& ids, Vocabulary& vocabulary) {
  vocabulary.types.assign(vocabulary.pieces.size(), PieceType::kNormal);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (is_byte_piece(vocabulary.pieces[id])) vocabulary.types[id] = PieceType::kByte;
  }
  for (const AddedToken& token : added) {
    const bool printed = !token.special || is_printed_piece(*token.text);
    vocabulary.types[static_cast<size_t>(ids.at(*token.text))] =
        printed ? PieceType::kUserDefined : PieceType::kControl;
  }
}

void set_base_ids(const PieceIds& ids, Vocabulary& vocabulary) {
  vocabulary.bos = id_or_none(ids, "<bos>");
  vocabulary.eos = id_or_none(ids, "<eos>");
  vocabulary.unknown = id_or_none(ids, "<unk>");
  vocabulary.padding = id_or_none(ids, "<pad>");
  vocabulary.mask = id_or_none(ids, "<mask>");
  if (vocabulary.eos >= 0) vocabulary.stop = {vocabulary.eos};
}

void set_scores(Vocabulary& vocabulary) {
  vocabulary.scores.reserve(vocabulary.pieces.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    vocabulary.scores.push_back(is_special_piece(vocabulary, id) ? kSpecialScore : -static_cast<float>(id));
  }
}

Status set_merges(const TokenizerFile& file, const PieceIds& ids, const std::string& source, Vocabulary& vocabulary) {
  std::string_view texts = file.merge_texts;
  vocabulary.merges.reserve(file.merges.size());
  for (const MergeSizes sizes : file.merges) {
    const std::string_view left = texts.substr(0, sizes.left);
    const std::string_view right = texts.substr(sizes.left, sizes.right);
    texts.remove_prefix(size_t{sizes.left} + sizes.right);
    const Merge merge = {id_or_none(ids, left), id_or_none(ids, right)};
    if (merge.left < 0 || merge.right < 0) {
      return refused(source + ": merge " + std::to_string(vocabulary.merges.size()) + " joins " + in_quotes(left) +
                     " and " + in_quotes(right) + "; expected two pieces of the vocabulary");
    }
    vocabulary.merges.push_back(merge);
  }
  return success();
}

Result<Vocabulary> assemble(TokenizerFile file, const std::string& source) {
  CARAT_TRY_STATUS(check_model(file, source));
  CARAT_TRY_STATUS(append_added_tokens(file, source));
  Vocabulary vocabulary;
  CARAT_TRY(vocabulary.pieces, pieces_by_id(std::move(file.entries), source));
  PieceIds ids;
  ids.reserve(vocabulary.pieces.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) ids.emplace(vocabulary.pieces[static_cast<size_t>(id)], id);
  set_types(file.added, ids, vocabulary);
  set_base_ids(ids, vocabulary);
  set_scores(vocabulary);
  CARAT_TRY_STATUS(set_merges(file, ids, source, vocabulary));
  CARAT_TRY_STATUS(check_vocabulary(vocabulary, source));
  return vocabulary;
}

}  // namespace

Result<Vocabulary> vocabulary_from_tokenizer_json(const std::string& text, const std::string& source) {
  if (text.size() > kLargestTokenizerJson) {
    return refused(source + ": " + std::to_string(text.size()) + " bytes, expected at most " +
                   std::to_string(kLargestTokenizerJson));
  }
  TokenizerFile file;
  TokenizerSax sax(file, source);
  if (!json::sax_parse(text, &sax)) return refused(sax.problem());
  return assemble(std::move(file), source);
}

}  // namespace carat
