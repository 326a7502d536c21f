#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/threads.h"
#include "formats/verify.h"
#include "formats/whole_tensor.h"

namespace carat {

/// Neighbours in a row that are counted as one block.
inline constexpr int64_t kVerifiedBlock = 32;

inline constexpr size_t kMostFirst = 5;

/// Rows that are in work at a time: about a million values, or one row.
int64_t verified_rows_at_once(int64_t columns);

/// Calls `make()()` for the numbers 0 to `rows` - 1: what `make` returns does some neighbouring rows, on one thread.
/// The error is that of the first row that fails.
template <typename Make>
Status for_rows(ThreadPool& threads, int64_t rows, const Make& make) {
  std::mutex guard;
  int64_t failed_row = rows;
  Status result = success();
  threads.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    auto work = make();
    for (int64_t row = begin; row < end; ++row) {
      Status done = work(row);
      if (done.ok()) continue;
      const std::scoped_lock lock(guard);
      if (row < failed_row) result = std::move(done);
      failed_row = std::min(failed_row, row);
      return;
    }
  });
  return result;
}

/// What comparing a row found. Rounding is that of `TensorComparison`.
struct RowComparison {
  uint64_t different = 0;
  uint64_t equal_rounded = 0;
  uint64_t not_finite = 0;
  uint64_t different_blocks = 0;
  double largest_difference = 0;
  double squared_error = 0;  ///< of the finite ones
  double squares = 0;        ///< of the second side
};

/// Compares rows of two tensors of the same shape, one after the other.
class RowComparer {
 public:
  /// The tensors outlive it.
  RowComparer(const WholeTensor& a, const WholeTensor& b);
  RowComparer(const RowComparer&) = delete;
  RowComparer& operator=(const RowComparer&) = delete;

  /// Fails as `WholeTensor::decode` does.
  Result<RowComparison> compare(int64_t row);

  /// Adds the differences of the row that was compared last to `first`, as long as there are fewer than `kMostFirst`.
  void append_differences(int64_t row, std::vector<WeightDifference>& first) const;

 private:
  Status decode(int64_t row, RowComparison& found);
  void compare_block(size_t begin, size_t count, RowComparison& found) const;
  bool same(size_t i) const;

  const WholeTensor& a_;
  const WholeTensor& b_;
  // The row as stored, then as it is compared.
  std::vector<float> stored_a_, stored_b_, rounded_;
  std::span<const float> compared_a_, compared_b_;
  bool rounds_ = false;
};

/// The type to which the other side's values are rounded: the narrow one of the two, where exactly one is narrow.
std::optional<DType> rounding_of(DType a, DType b);

/// BF16 or F16.
bool is_narrow(DType dtype);

}  // namespace carat
