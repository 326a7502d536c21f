#include "model/recent_ids.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace carat {

size_t RecentIds::bucket_count(int64_t slots) { return std::bit_ceil(static_cast<size_t>(slots)); }

uint64_t RecentIds::bytes(int64_t slots) {
  return static_cast<uint64_t>(slots) * sizeof(Slot) + bucket_count(slots) * sizeof(int32_t);
}

RecentIds::RecentIds(int64_t slots) : slots_(static_cast<size_t>(slots)), buckets_(bucket_count(slots)) {
  CARAT_CHECK(slots >= 1, "a slot to give");
  clear();
}

void RecentIds::clear() {
  const auto count = static_cast<int32_t>(slots_.size());
  for (int32_t slot = 0; slot < count; ++slot) {
    at(slot) = {.id = kNone, .newer = slot - 1, .older = slot + 1 < count ? slot + 1 : kNone, .next_same = kNone};
  }
  newest_ = 0;
  oldest_ = count - 1;
  std::ranges::fill(buckets_, kNone);
}

int32_t RecentIds::use(int32_t id) {
  int32_t slot = bucket_of(id);
  while (slot != kNone && at(slot).id != id) slot = at(slot).next_same;
  if (slot != kNone) make_newest(slot);
  return slot;
}

int32_t RecentIds::claim(int32_t id) {
  const int32_t slot = oldest_;
  if (at(slot).id != kNone) leave_bucket(slot);
  at(slot).id = id;
  at(slot).next_same = bucket_of(id);
  bucket_of(id) = slot;
  make_newest(slot);
  return slot;
}

void RecentIds::leave_bucket(int32_t slot) {
  int32_t* link = &bucket_of(at(slot).id);
  while (*link != slot) link = &at(*link).next_same;
  *link = at(slot).next_same;
}

void RecentIds::make_newest(int32_t slot) {
  if (slot == newest_) return;
  const int32_t newer = at(slot).newer;
  const int32_t older = at(slot).older;
  at(newer).older = older;
  if (older != kNone) at(older).newer = newer;
  if (slot == oldest_) oldest_ = newer;
  at(slot).newer = kNone;
  at(slot).older = newest_;
  at(newest_).newer = slot;
  newest_ = slot;
}

}  // namespace carat
