#include "formats/convert_columns.h"

#include <algorithm>
#include <cstring>

#include "base/mapped_pages.h"
#include "formats/convert_codes.h"

namespace carat {
namespace {

// Each piece of rows touches every tensor; fewer bytes would read the pages of each more than once.
constexpr int64_t kRowsAtOnce = 1024;

}  // namespace

Status ColumnJoiner::codes(const Output& output, bool counts, const ByteSink& sink) {
  const int64_t total = output.spec.shape[0];
  const TensorView& part = output.columns.front()->view;
  const auto part_bytes = static_cast<size_t>(*row_bytes(part.dtype, static_cast<uint64_t>(part.columns())));
  const size_t bytes = part_bytes * output.columns.size();
  for (int64_t first = 0; first < total; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, total - first);
    rows_.resize(static_cast<size_t>(count) * bytes);
    for (size_t c = 0; c < output.columns.size(); ++c) {
      const TensorView& view = output.columns[c]->view;
      for (int64_t row = 0; row < count; ++row) {
        const size_t place = static_cast<size_t>(row) * bytes + c * part_bytes;
        repack(view.dtype, view.row(first + row), output.spec.dtype, std::span(rows_).subspan(place, part_bytes));
      }
      const auto begin = static_cast<size_t>(first) * part_bytes;
      release_mapped_pages(view.data.subspan(begin, static_cast<size_t>(count) * part_bytes));
    }
    CARAT_TRY_STATUS(sink(rows_));
    CARAT_TRY_STATUS(loop_.count(counts ? static_cast<uint64_t>(count * output.spec.shape[1]) : 0));
  }
  return success();
}

Status ColumnJoiner::scales(const Output& output, const ByteSink& sink) {
  const int64_t total = output.spec.shape[0];
  const size_t groups = output.columns.size();
  for (int64_t first = 0; first < total; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, total - first);
    rows_.resize(static_cast<size_t>(count) * groups * sizeof(float));
    for (size_t c = 0; c < groups; ++c) {
      for (int64_t row = 0; row < count; ++row) {
        const float scale = output.columns[c]->view.scales.at(first + row, 0);
        std::memcpy(rows_.data() + (static_cast<size_t>(row) * groups + c) * sizeof scale, &scale, sizeof scale);
      }
    }
    CARAT_TRY_STATUS(sink(rows_));
  }
  return success();
}

}  // namespace carat
