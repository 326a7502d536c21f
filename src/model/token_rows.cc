#include "model/token_rows.h"

#include <algorithm>
#include <mutex>
#include <string>

#include "base/check.h"

namespace carat {
namespace {

// Words come back. So many rows are kept at least, a few megabytes.
constexpr int64_t kLeastSlots = 512;

/// Enough for the ids of two batches, so that one batch never drives out what it needs itself.
int64_t slot_count(int64_t vocabulary, int64_t batch) { return std::min(vocabulary, std::max(2 * batch, kLeastSlots)); }

size_t data_row_bytes(DType dtype, const Shape& shape) {
  return static_cast<size_t>(*row_bytes(dtype, static_cast<uint64_t>(shape.back())));
}

size_t scale_row_bytes(DType scale_dtype, int64_t groups) {
  return static_cast<size_t>(groups * block_bytes(scale_dtype));
}

}  // namespace

uint64_t TokenRows::bytes(const TensorSpec& table, int64_t batch) {
  const int64_t slots = slot_count(table.shape.front(), batch);
  const size_t row = data_row_bytes(table.dtype, table.shape) + scale_row_bytes(table.scale_dtype, table.scale_groups);
  return static_cast<uint64_t>(slots) * row + RecentIds::bytes(slots) +
         2 * static_cast<uint64_t>(batch) * sizeof(int32_t);
}

TokenRows::TokenRows(const std::vector<TableColumns>& table, int64_t batch)
    : recent_(slot_count(table.front().view.rows(), batch)),
      slots_(static_cast<size_t>(batch)),
      sorted_(static_cast<size_t>(batch)) {
  const TensorView& first = table.front().view;
  const int64_t slots = slot_count(first.rows(), batch);
  kept_ = {first.dtype, {slots, 0}, {}};
  kept_.scales.dtype = first.scales.dtype;
  for (const auto& [view, data, scales] : table) {
    CARAT_CHECK(view.dtype == first.dtype && view.rows() == first.rows(), "columns of one table");
    data_.add({view.data, data, data_row_bytes(view.dtype, view.shape)});
    scales_.add({view.scales.data, scales, scale_row_bytes(view.scales.dtype, view.scales.groups)});
    kept_.shape.back() += view.columns();
    kept_.scales.groups += view.scales.groups;
  }
  for (Part* part : {&data_, &scales_}) part->kept.resize(static_cast<size_t>(slots) * part->row_bytes);
  kept_.data = data_.kept;
  kept_.scales.data = scales_.kept;
}

void TokenRows::Part::add(Source source) {
  row_bytes += source.row_bytes;
  sources.push_back(source);
}

Status TokenRows::fetch(std::span<const int32_t> ids, ThreadPool& pool) {
  CARAT_CHECK(ids.size() <= slots_.size(), "at most a batch of ids");
  fetched_ = 0;
  std::ranges::copy(ids, sorted_.begin());
  std::span<int32_t> wanted = std::span(sorted_).first(ids.size());
  std::ranges::sort(wanted);
  wanted = wanted.first(wanted.size() - std::ranges::unique(wanted).size());
  // Those that are kept count as used before any slot is given away.
  const auto known = std::ranges::remove_if(wanted, [this](int32_t id) { return recent_.use(id) >= 0; });
  const std::span<const int32_t> missing = wanted.first(wanted.size() - known.size());
  for (const int32_t id : missing) recent_.claim(id);
  if (Status read = read_missing(missing, pool); !read.ok()) {
    recent_.clear();
    return read;
  }
  std::ranges::transform(ids, slots_.begin(), [this](int32_t id) { return recent_.use(id); });
  fetched_ = ids.size();
  return success();
}

Status TokenRows::read_missing(std::span<const int32_t> ids, ThreadPool& pool) {
  std::ranges::transform(ids, slots_.begin(), [this](int32_t id) { return recent_.use(id); });
  std::mutex failing;
  auto failed_at = static_cast<int64_t>(ids.size());
  Status first_failure = success();
  pool.parallel_for(failed_at, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int32_t id = ids[static_cast<size_t>(i)];
      const int32_t slot = slots_[static_cast<size_t>(i)];
      Status read = data_.read(id, slot);
      if (read.ok()) read = scales_.read(id, slot);
      if (read.ok()) continue;
      const std::lock_guard lock(failing);
      if (i >= failed_at) continue;
      failed_at = i;
      first_failure =
          failed("the row of token " + std::to_string(id) + " in the per-layer table: " + read.error().message);
    }
  });
  return first_failure;
}

Status TokenRows::Part::read(int32_t id, int32_t slot) {
  std::span<std::byte> row = std::span(kept).subspan(static_cast<size_t>(slot) * row_bytes, row_bytes);
  for (const Source& source : sources) {
    const size_t begin = static_cast<size_t>(id) * source.row_bytes;
    const std::span<std::byte> out = row.first(source.row_bytes);
    if (source.place) {
      CARAT_TRY_STATUS(source.place->source->read(source.place->offset + begin, out));
    } else {
      std::ranges::copy(source.mapped.subspan(begin, source.row_bytes), out.begin());
    }
    row = row.subspan(source.row_bytes);
  }
  return success();
}

}  // namespace carat
