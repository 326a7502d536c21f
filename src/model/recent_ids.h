#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace carat {

/// A fixed number of slots for things that belong to token ids. A new id takes the slot of the one that was not used
/// for longest. All memory is allocated by the constructor.
class RecentIds {
 public:
  explicit RecentIds(int64_t slots);

  /// The slot of `id`, which counts as used now; -1 when it has none.
  int32_t use(int32_t id);

  /// A slot for `id`, which has none; it counts as used now.
  int32_t claim(int32_t id);

  /// Forgets all ids.
  void clear();

  /// Bytes that so many slots allocate here.
  static uint64_t bytes(int64_t slots);

 private:
  // Slots that no id has, and the ends of lists.
  static constexpr int32_t kNone = -1;

  struct Slot {
    int32_t id;
    int32_t newer;  // neighbours in the order of use
    int32_t older;
    int32_t next_same;  // the next slot whose id falls into the same bucket
  };

  static size_t bucket_count(int64_t slots);
  int32_t& bucket_of(int32_t id) { return buckets_[static_cast<size_t>(id) & (buckets_.size() - 1)]; }
  Slot& at(int32_t slot) { return slots_[static_cast<size_t>(slot)]; }
  void leave_bucket(int32_t slot);
  void make_newest(int32_t slot);

  std::vector<Slot> slots_;
  std::vector<int32_t> buckets_;  // the first slot of each; a power of two
  int32_t newest_ = kNone;
  int32_t oldest_ = kNone;
};

}  // namespace carat
