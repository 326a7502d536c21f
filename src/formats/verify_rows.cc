#include "formats/verify_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr int64_t kValuesAtOnce = int64_t{1} << 20;

bool same_number(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

/// Without a branch, so that the compiler takes many at a time; a NaN differs from everything here.
int unequal(const float* a, const float* b, size_t count) {
  int found = 0;
  for (size_t i = 0; i < count; ++i) found += a[i] != b[i] ? 1 : 0;
  return found;
}

uint64_t count_not_finite(std::span<const float> a, std::span<const float> b) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t found = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool bad_a = (std::bit_cast<uint32_t>(a[i]) & kExponent) == kExponent;
    const bool bad_b = (std::bit_cast<uint32_t>(b[i]) & kExponent) == kExponent;
    found += (bad_a | bad_b) ? 1u : 0u;
  }
  return found;
}

/// In four sums, so that the additions need not wait for each other.
double sum_of_squares(std::span<const float> values) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (; i < values.size(); ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

double sum_of_finite_squares(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) {
    if (std::isfinite(value)) sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return sum;
}

/// What is not finite stays as it is.
void round_to(DType narrow, std::span<const float> values, bool all_finite, std::span<float> out) {
  snap(narrow, values, out);
  if (all_finite) return;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) out[i] = values[i];
  }
}

void add_difference(float a, float b, RowComparison& row) {
  ++row.different;
  if (!std::isfinite(a) || !std::isfinite(b)) {
    row.largest_difference = std::numeric_limits<double>::infinity();
    return;
  }
  const double difference = static_cast<double>(a) - static_cast<double>(b);
  row.largest_difference = std::max(row.largest_difference, std::fabs(difference));
  row.squared_error += difference * difference;
}

}  // namespace

int64_t verified_rows_at_once(int64_t columns) { return std::max<int64_t>(1, kValuesAtOnce / columns); }

bool is_narrow(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16; }

std::optional<DType> rounding_of(DType a, DType b) {
  if (is_narrow(a) == is_narrow(b)) return std::nullopt;
  return is_narrow(a) ? a : b;
}

RowComparer::RowComparer(const WholeTensor& a, const WholeTensor& b)
    : a_(a),
      b_(b),
      stored_a_(static_cast<size_t>(a.columns())),
      stored_b_(static_cast<size_t>(a.columns())),
      rounded_(static_cast<size_t>(a.columns())) {}

bool RowComparer::same(size_t i) const { return same_number(compared_a_[i], compared_b_[i]); }

Status RowComparer::decode(int64_t row, RowComparison& found) {
  CARAT_TRY_STATUS(a_.decode(row, stored_a_));
  CARAT_TRY_STATUS(b_.decode(row, stored_b_));
  found.not_finite = count_not_finite(stored_a_, stored_b_);
  compared_a_ = stored_a_;
  compared_b_ = stored_b_;
  const std::optional<DType> narrow = rounding_of(a_.type_of_row(row), b_.type_of_row(row));
  rounds_ = narrow.has_value();
  if (!narrow) return success();
  std::span<const float>& wide = *narrow == a_.type_of_row(row) ? compared_b_ : compared_a_;
  round_to(*narrow, wide, found.not_finite == 0, rounded_);
  wide = rounded_;
  return success();
}

void RowComparer::compare_block(size_t begin, size_t count, RowComparison& found) const {
  const int as_compared = unequal(compared_a_.data() + begin, compared_b_.data() + begin, count);
  if (rounds_) {
    const int as_stored = unequal(stored_a_.data() + begin, stored_b_.data() + begin, count);
    found.equal_rounded += static_cast<uint64_t>(as_stored - as_compared);
  }
  if (as_compared == 0) return;
  const uint64_t before = found.different;
  for (size_t i = begin; i < begin + count; ++i) {
    if (!same(i)) add_difference(compared_a_[i], compared_b_[i], found);
  }
  if (found.different != before) ++found.different_blocks;
}

Result<RowComparison> RowComparer::compare(int64_t row) {
  RowComparison found;
  CARAT_TRY_STATUS(decode(row, found));
  constexpr auto kBlock = static_cast<size_t>(kVerifiedBlock);
  for (size_t begin = 0; begin < stored_a_.size(); begin += kBlock) {
    compare_block(begin, std::min(kBlock, stored_a_.size() - begin), found);
  }
  found.squares = found.not_finite == 0 ? sum_of_squares(compared_b_) : sum_of_finite_squares(compared_b_);
  return found;
}

void RowComparer::append_differences(int64_t row, std::vector<WeightDifference>& first) const {
  for (size_t i = 0; i < compared_a_.size() && first.size() < kMostFirst; ++i) {
    if (!same(i)) first.push_back({row, static_cast<int64_t>(i), stored_a_[i], stored_b_[i]});
  }
}

}  // namespace carat
