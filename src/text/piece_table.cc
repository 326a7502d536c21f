#include "text/piece_table.h"

#include <functional>

#include "base/check.h"

namespace carat {
namespace {

constexpr int32_t kFree = -1;

// A third of the slots stays free, so that a search for what is not there ends soon.
std::vector<int32_t> free_slots(size_t entries) { return std::vector<int32_t>(entries + entries / 2 + 2, kFree); }

// Spreads 64 bits, of which the upper ones are mixed well, evenly over `count` slots.
size_t slot_of(uint64_t hash, size_t count) { return static_cast<size_t>((hash >> 32) * count >> 32); }

size_t after(size_t slot, const std::vector<int32_t>& slots) { return slot + 1 == slots.size() ? 0 : slot + 1; }

constexpr int kIdBits = 20;
constexpr uint64_t kIdMask = (uint64_t{1} << kIdBits) - 1;

uint64_t pair_of(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << kIdBits | static_cast<uint32_t>(right);
}

bool fits(int32_t id) { return id >= 0 && static_cast<uint64_t>(id) <= kIdMask; }

}  // namespace

PieceTable::PieceTable(const std::vector<std::string>& pieces) : slots_(free_slots(pieces.size())) {
  size_t bytes = 0;
  for (const std::string& piece : pieces) bytes += piece.size();
  CARAT_CHECK(bytes <= UINT32_MAX, "a vocabulary of more than 4 GiB");
  texts_.reserve(bytes);
  ends_.reserve(pieces.size());
  for (const std::string& piece : pieces) {
    size_t slot = first_slot(piece);
    while (slots_[slot] != kFree) slot = after(slot, slots_);
    slots_[slot] = size();
    texts_ += piece;
    ends_.push_back(static_cast<uint32_t>(texts_.size()));
  }
}

size_t PieceTable::first_slot(std::string_view piece) const {
  return slot_of(std::hash<std::string_view>{}(piece), slots_.size());
}

std::string_view PieceTable::text(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  CARAT_CHECK(index < ends_.size(), "an id outside the vocabulary");
  const uint32_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(texts_).substr(begin, ends_[index] - begin);
}

int32_t PieceTable::find(std::string_view piece) const {
  for (size_t slot = first_slot(piece); slots_[slot] != kFree; slot = after(slot, slots_)) {
    if (text(slots_[slot]) == piece) return slots_[slot];
  }
  return -1;
}

MergeTable::MergeTable(const std::vector<Merge>& merges) : slots_(free_slots(merges.size())) {
  merges_.reserve(merges.size());
  for (const Merge& merge : merges) {
    CARAT_CHECK(fits(merge.left) && fits(merge.right) && fits(merge.result), "ids of 20 bits");
    const uint64_t pair = pair_of(merge.left, merge.right);
    const auto rank = static_cast<int32_t>(merges_.size());
    merges_.push_back(pair << kIdBits | static_cast<uint32_t>(merge.result));
    if (find(merge.left, merge.right) >= 0) continue;
    size_t slot = first_slot(pair);
    while (slots_[slot] != kFree) slot = after(slot, slots_);
    slots_[slot] = rank;
  }
}

size_t MergeTable::first_slot(uint64_t pair) const {
  // Fibonacci hashing: the upper bits of the product depend on all bits of the pair.
  return slot_of(pair * 0x9E3779B97F4A7C15u, slots_.size());
}

MergeTable::Merge MergeTable::operator[](int32_t rank) const {
  const uint64_t merge = merges_[static_cast<size_t>(rank)];
  return {static_cast<int32_t>(merge >> 2 * kIdBits), static_cast<int32_t>(merge >> kIdBits & kIdMask),
          static_cast<int32_t>(merge & kIdMask)};
}

int32_t MergeTable::find(int32_t left, int32_t right) const {
  if (!fits(left) || !fits(right)) return -1;
  const uint64_t pair = pair_of(left, right);
  for (size_t slot = first_slot(pair); slots_[slot] != kFree; slot = after(slot, slots_)) {
    if (merges_[static_cast<size_t>(slots_[slot])] >> kIdBits == pair) return slots_[slot];
  }
  return -1;
}

}  // namespace carat
