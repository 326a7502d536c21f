#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

/// The texts of a vocabulary's pieces, by id and back. One block of text and one hash table of ids: a few bytes
/// a piece beside the text itself.
class PieceTable {
 public:
  /// The pieces must differ from each other.
  explicit PieceTable(const std::vector<std::string>& pieces);

  int32_t size() const { return static_cast<int32_t>(ends_.size()); }
  std::string_view text(int32_t id) const;
  /// The id of a piece, or -1.
  int32_t find(std::string_view piece) const;

 private:
  size_t first_slot(std::string_view piece) const;

  std::string texts_;
  std::vector<uint32_t> ends_;  // where in texts_ each piece ends
  std::vector<int32_t> slots_;  // open addressing, -1 is free; the size is a power of two
};

/// What two neighbouring pieces become, and how early.
class MergeTable {
 public:
  struct Merge {
    int32_t left;
    int32_t right;
    int32_t result;
  };

  /// `merges` in rank order. Of two merges of one pair the first counts.
  explicit MergeTable(std::vector<Merge> merges);

  /// The rank of the merge of two ids, or -1.
  int32_t find(int32_t left, int32_t right) const;
  const Merge& operator[](int32_t rank) const { return merges_[static_cast<size_t>(rank)]; }

 private:
  size_t first_slot(int32_t left, int32_t right) const;

  std::vector<Merge> merges_;
  std::vector<int32_t> slots_;  // ranks, as in PieceTable
};

}  // namespace carat
