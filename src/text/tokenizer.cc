#include "text/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "base/utf8.h"

namespace carat {
namespace {

constexpr std::string_view kSpace = "\u2581";  // how pieces spell a space

// A longer run without a place to cut is encoded in parts, so that positions fit 32 bits.
constexpr size_t kLongestRun = size_t{1} << 28;

std::string_view first_character(std::string_view text) { return text.substr(0, utf8_front(text).size); }

std::string_view last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

std::string with_spelled_spaces(std::string_view text) {
  std::string spelled;
  spelled.reserve(text.size() + text.size() / 2);
  for (const char letter : text) {
    if (letter == ' ') {
      spelled += kSpace;
    } else {
      spelled += letter;
    }
  }
  return spelled;
}

int32_t byte_of(std::string_view byte_piece) {
  int32_t value = 0;
  std::from_chars(byte_piece.data() + 3, byte_piece.data() + 5, value, 16);
  return value;
}

// One run of characters on its way to pieces: a linked list of symbols, and a heap of the merges that neighbours
// allow. A merge leaves outdated heap entries behind; they are recognised when they come up.
class Merging {
 public:
  Merging(const MergeTable& merges, std::string_view run) : merges_(merges), run_(run) {}

  /// `id` is -1 for a character that is no piece.
  void add_character(size_t size, int32_t id) {
    const auto index = static_cast<int32_t>(symbols_.size());
    symbols_.push_back({id, end_, static_cast<uint32_t>(size), index - 1, -1});
    end_ += static_cast<uint32_t>(size);
    if (index > 0) symbols_[static_cast<size_t>(index - 1)].next = index;
  }

  void merge_all() {
    for (int32_t index = 0; index < static_cast<int32_t>(symbols_.size()); ++index) add_candidate(index);
    std::make_heap(heap_.begin(), heap_.end(), std::greater{});
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater{});
      const uint64_t entry = heap_.back();
      heap_.pop_back();
      apply(merges_[static_cast<int32_t>(entry >> 32)], static_cast<int32_t>(entry & UINT32_MAX));
    }
  }

  template <typename Visit>
  void for_each(Visit visit) const {
    for (int32_t index = symbols_.empty() ? -1 : 0; index >= 0; index = at(index).next) {
      visit(at(index).id, run_.substr(at(index).begin, at(index).size));
    }
  }

 private:
  struct Symbol {
    int32_t id;  // -1 also for a symbol that its left neighbour has swallowed
    uint32_t begin;
    uint32_t size;
    int32_t previous;
    int32_t next;
  };

  const Symbol& at(int32_t index) const { return symbols_[static_cast<size_t>(index)]; }
  Symbol& at(int32_t index) { return symbols_[static_cast<size_t>(index)]; }

  // Rank above position: the lowest rank comes up first, and the leftmost of equal ones.
  bool add_candidate(int32_t left) {
    if (left < 0 || at(left).next < 0) return false;
    const int32_t rank = merges_.find(at(left).id, at(at(left).next).id);
    if (rank < 0) return false;
    heap_.push_back(uint64_t{static_cast<uint32_t>(rank)} << 32 | static_cast<uint32_t>(left));
    return true;
  }

  void offer(int32_t left) {
    if (add_candidate(left)) std::push_heap(heap_.begin(), heap_.end(), std::greater{});
  }

  void apply(MergeTable::Merge merge, int32_t left) {
    Symbol& symbol = at(left);
    if (symbol.id != merge.left || symbol.next < 0 || at(symbol.next).id != merge.right) return;
    Symbol& swallowed = at(symbol.next);
    symbol.id = merge.result;
    symbol.size += swallowed.size;
    symbol.next = swallowed.next;
    swallowed.id = -1;
    if (symbol.next >= 0) at(symbol.next).previous = left;
    offer(symbol.previous);
    offer(left);
  }

  const MergeTable& merges_;
  std::string_view run_;
  uint32_t end_ = 0;
  std::vector<Symbol> symbols_;
  std::vector<uint64_t> heap_;
};

// Merges that would build a special or a byte piece are left out: text must never become one.
std::vector<MergeTable::Merge> text_merges(const Vocabulary& vocabulary, const std::vector<int32_t>& results) {
  std::vector<MergeTable::Merge> merges;
  merges.reserve(results.size());
  for (size_t rank = 0; rank < results.size(); ++rank) {
    const bool is_byte = vocabulary.types[static_cast<size_t>(results[rank])] == PieceType::kByte;
    if (is_byte || is_special_piece(vocabulary, results[rank])) continue;
    merges.push_back({vocabulary.merges[rank].left, vocabulary.merges[rank].right, results[rank]});
  }
  return merges;
}

}  // namespace

Result<Tokenizer> Tokenizer::create(const Vocabulary& vocabulary) {
  CARAT_TRY(const std::vector<int32_t> merge_results, check_vocabulary(vocabulary, "vocabulary"));
  return Tokenizer(vocabulary, merge_results);
}

Tokenizer::Tokenizer(const Vocabulary& vocabulary, const std::vector<int32_t>& merge_results)
    : pieces_(vocabulary.pieces),
      merges_(text_merges(vocabulary, merge_results)),
      roles_(vocabulary.pieces.size(), Role::kText),
      bos_(vocabulary.bos),
      eos_(vocabulary.eos) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const std::string piece = {'<', '0', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15], '>'};
    byte_ids_[byte] = pieces_.find(piece);
    roles_[static_cast<size_t>(byte_ids_[byte])] = Role::kByte;
  }
  for (int32_t id = 0; id < size(); ++id) {
    if (!is_special_piece(vocabulary, id) || piece(id).empty()) continue;
    const bool ends = std::ranges::find(vocabulary.stop, id) != vocabulary.stop.end();
    const bool printed = vocabulary.types[static_cast<size_t>(id)] == PieceType::kUserDefined && !ends;
    roles_[static_cast<size_t>(id)] = printed ? Role::kUserDefined : Role::kControl;
    specials_.push_back(id);
    special_starts_.set(static_cast<uint8_t>(piece(id).front()));
  }
  std::ranges::stable_sort(specials_, std::greater{}, [&](int32_t id) { return piece(id).size(); });
  for (const Merge merge : vocabulary.merges) {
    if (!piece(merge.left).empty() && piece(merge.right).starts_with(kSpace)) {
      before_spaces_.emplace(last_character(piece(merge.left)));
    }
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::string valid;
  if (!is_valid_utf8(text)) {
    valid = to_valid_utf8(text);
    text = valid;
  }
  std::vector<int32_t> ids;
  size_t begin = 0;
  for (size_t at = 0; parse_special && at < text.size();) {
    const int32_t special = special_at_front(text.substr(at));
    if (special < 0) {
      ++at;
      continue;
    }
    encode_text(text.substr(begin, at - begin), ids);
    ids.push_back(special);
    at += piece(special).size();
    begin = at;
  }
  encode_text(text.substr(begin), ids);
  return ids;
}

int32_t Tokenizer::special_at_front(std::string_view text) const {
  if (!special_starts_.test(static_cast<uint8_t>(text.front()))) return -1;
  const auto found = std::ranges::find_if(specials_, [&](int32_t id) { return text.starts_with(piece(id)); });
  return found == specials_.end() ? -1 : *found;
}

void Tokenizer::encode_text(std::string_view text, std::vector<int32_t>& ids) const {
  const std::string spelled = with_spelled_spaces(text);
  for (std::string_view rest = spelled; !rest.empty();) {
    const std::string_view run = rest.substr(0, run_size(rest));
    rest.remove_prefix(run.size());
    const int32_t newlines = run.front() == '\n' ? text_piece(run) : -1;
    if (newlines >= 0) {
      ids.push_back(newlines);
    } else {
      encode_run(run, ids);
    }
  }
}

// A run is all newlines or has none. It also ends before a space that no merge can join to what stands before it:
// the pieces on both sides are the same whether merged apart or together, and short runs need little memory.
size_t Tokenizer::run_size(std::string_view text) const {
  const bool newlines = text.front() == '\n';
  std::string_view previous = first_character(text);
  size_t size = previous.size();
  while (size < text.size() && size < kLongestRun) {
    const std::string_view character = first_character(text.substr(size));
    if ((character == "\n") != newlines) break;
    if (character == kSpace && !before_spaces_.contains(std::string(previous))) break;
    previous = character;
    size += character.size();
  }
  return size;
}

void Tokenizer::encode_run(std::string_view run, std::vector<int32_t>& ids) const {
  Merging merging(merges_, run);
  for (std::string_view rest = run; !rest.empty();) {
    const std::string_view character = first_character(rest);
    merging.add_character(character.size(), text_piece(character));
    rest.remove_prefix(character.size());
  }
  merging.merge_all();
  merging.for_each([&](int32_t id, std::string_view text) {
    if (id >= 0) {
      ids.push_back(id);
      return;
    }
    for (const char byte : text) ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  });
}

int32_t Tokenizer::text_piece(std::string_view text) const {
  const int32_t id = find(text);
  return id >= 0 && roles_[static_cast<size_t>(id)] == Role::kText ? id : -1;
}

void Tokenizer::append_bytes(int32_t id, ControlPieces control, std::string& out) const {
  std::string_view text = piece(id);
  const Role role = roles_[static_cast<size_t>(id)];
  if (role == Role::kControl && control == ControlPieces::kSkip) return;
  if (role == Role::kByte) {
    out += static_cast<char>(byte_of(text));
    return;
  }
  for (size_t space = text.find(kSpace); space != std::string_view::npos; space = text.find(kSpace)) {
    out += text.substr(0, space);
    out += ' ';
    text.remove_prefix(space + kSpace.size());
  }
  out += text;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, ControlPieces control) const {
  std::string bytes;
  for (const int32_t id : ids) append_bytes(id, control, bytes);
  return to_valid_utf8(bytes);
}

}  // namespace carat
