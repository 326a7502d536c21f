#include "text/piece_table.h"

#include <bit>
#include <functional>

#include "base/check.h"

namespace carat {
namespace {

constexpr int32_t kFree = -1;

// At most half of the slots are taken, so that a search for what is not there ends soon.
std::vector<int32_t> free_slots(size_t entries) { return std::vector<int32_t>(std::bit_ceil(2 * entries + 2), kFree); }

}  // namespace

PieceTable::PieceTable(const std::vector<std::string>& pieces) : slots_(free_slots(pieces.size())) {
  size_t bytes = 0;
  for (const std::string& piece : pieces) bytes += piece.size();
  CARAT_CHECK(bytes <= UINT32_MAX, "a vocabulary of more than 4 GiB");
  texts_.reserve(bytes);
  ends_.reserve(pieces.size());
  for (const std::string& piece : pieces) {
    size_t slot = first_slot(piece);
    while (slots_[slot] != kFree) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = size();
    texts_ += piece;
    ends_.push_back(static_cast<uint32_t>(texts_.size()));
  }
}

size_t PieceTable::first_slot(std::string_view piece) const {
  return std::hash<std::string_view>{}(piece) & (slots_.size() - 1);
}

std::string_view PieceTable::text(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  CARAT_CHECK(index < ends_.size(), "an id outside the vocabulary");
  const uint32_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(texts_).substr(begin, ends_[index] - begin);
}

int32_t PieceTable::find(std::string_view piece) const {
  for (size_t slot = first_slot(piece); slots_[slot] != kFree; slot = (slot + 1) & (slots_.size() - 1)) {
    if (text(slots_[slot]) == piece) return slots_[slot];
  }
  return -1;
}

MergeTable::MergeTable(std::vector<Merge> merges) : merges_(std::move(merges)), slots_(free_slots(merges_.size())) {
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    const Merge& merge = merges_[rank];
    if (find(merge.left, merge.right) >= 0) continue;
    size_t slot = first_slot(merge.left, merge.right);
    while (slots_[slot] != kFree) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<int32_t>(rank);
  }
}

size_t MergeTable::first_slot(int32_t left, int32_t right) const {
  const uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  // Fibonacci hashing: the upper bits of the product depend on all bits of the pair.
  return static_cast<size_t>((pair * 0x9E3779B97F4A7C15u) >> 32) & (slots_.size() - 1);
}

int32_t MergeTable::find(int32_t left, int32_t right) const {
  for (size_t slot = first_slot(left, right); slots_[slot] != kFree; slot = (slot + 1) & (slots_.size() - 1)) {
    const Merge& merge = merges_[static_cast<size_t>(slots_[slot])];
    if (merge.left == left && merge.right == right) return slots_[slot];
  }
  return -1;
}

}  // namespace carat
