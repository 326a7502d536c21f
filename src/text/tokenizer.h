#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"
#include "text/piece_table.h"

namespace carat {

/// Whether decoding writes control pieces such as `<turn|>`, and pieces that end a generation. The other user-defined
/// ones (tool calls, channels) are always written: whoever reads an answer has to see them.
enum class ControlPieces { kSkip, kKeep };

/// Text to ids and back, as Gemma does it: byte-pair merges over Unicode characters with byte fallback, no
/// normalisation, no space in front. Threads may share one.
///
/// Text that is no valid UTF-8 is encoded with U+FFFD for what is invalid. A literal U+2581 encodes as a space does,
/// for it is how pieces spell a space; all other valid text comes back from `decode(encode(text))` unchanged.
class Tokenizer {
 public:
  /// Refuses what `check_vocabulary` refuses. Keeps nothing of `vocabulary` by reference.
  static Result<Tokenizer> create(const Vocabulary& vocabulary);

  /// Does not put `<bos>` in front. With `parse_special`, special pieces that stand in the text become their ids,
  /// the longest at each position; without it no text ever yields the id of a special piece.
  std::vector<int32_t> encode(std::string_view text, bool parse_special = false) const;

  /// Always valid UTF-8: bytes that make no character become U+FFFD. Ids must be in [0, size()).
  std::string decode(std::span<const int32_t> ids, ControlPieces control = ControlPieces::kSkip) const;

  /// Appends what one id stands for: any bytes, a part of a character perhaps. The id must be in [0, size()).
  void append_bytes(int32_t id, ControlPieces control, std::string& out) const;

  /// The id of the piece with this text (a space is U+2581), or -1.
  int32_t find(std::string_view piece) const { return pieces_.find(piece); }
  /// The piece's text as the vocabulary has it. The id must be in [0, size()).
  std::string_view piece(int32_t id) const { return pieces_.text(id); }

  int32_t size() const { return pieces_.size(); }
  int32_t bos() const { return bos_; }
  int32_t eos() const { return eos_; }

 private:
  enum class Role : uint8_t { kText, kByte, kControl, kUserDefined };

  Tokenizer(const Vocabulary& vocabulary, const std::vector<int32_t>& merge_results);

  int32_t special_at_front(std::string_view text) const;
  void encode_text(std::string_view text, std::vector<int32_t>& ids) const;
  size_t run_size(std::string_view text) const;
  void encode_run(std::string_view run, std::vector<int32_t>& ids) const;
  int32_t text_piece(std::string_view text) const;

  PieceTable pieces_;
  MergeTable merges_;
  std::vector<Role> roles_;                        // by id
  std::array<int32_t, 256> byte_ids_{};            // the pieces <0x00> to <0xFF>
  std::vector<int32_t> specials_;                  // longest text first
  std::bitset<256> special_starts_;                // first bytes of special pieces
  std::unordered_set<std::string> before_spaces_;  // characters that a merge can join to a following space
  int32_t bos_;
  int32_t eos_;
};

}  // namespace carat
