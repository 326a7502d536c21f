#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

/// The texts of a vocabulary's pieces, by id and back. One block of text and one hash table of ids: about nine bytes a
/// piece beside the text itself.
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
  std::vector<int32_t> slots_;  // open addressing, -1 is free
};

/// What two neighbouring pieces become, and how early, in about fourteen bytes a merge.
class MergeTable {
 public:
  struct Merge {
    int32_t left;
    int32_t right;
    int32_t result;
  };

  /// `merges` in rank order; their ids are below 2^20. Of two merges of one pair the first counts.
  explicit MergeTable(const std::vector<Merge>& merges);

  /// The rank of the merge of two ids, or -1.
  int32_t find(int32_t left, int32_t right) const;
  Merge operator[](int32_t rank) const;

 private:
  size_t first_slot(uint64_t pair) const;

  std::vector<uint64_t> merges_;  // left, right and result, 20 bits each
  std::vector<int32_t> slots_;    // ranks, as in PieceTable
};

}  // namespace carat
