#include "formats/convert_piece.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/mapped_pages.h"
#include "formats/quote.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 20;

}  // namespace

Bytes Piece::bytes() const {
  const auto row_size = static_cast<size_t>(*row_bytes(view().dtype, static_cast<uint64_t>(view().columns())));
  return view().data.subspan(static_cast<size_t>(first) * row_size, static_cast<size_t>(count) * row_size);
}

Status PieceLoop::for_each(const Output& output, bool counts, const std::function<Status(const Piece&)>& use) {
  int64_t output_row = 0;
  for (const RowRange& rows : output.rows) {
    const int64_t columns = rows.tensor->view.columns();
    const int64_t at_once = std::max<int64_t>(1, kPieceElements / columns);
    for (int64_t done = 0; done < rows.count; done += at_once) {
      const Piece piece = {rows.tensor, rows.first + done, std::min(at_once, rows.count - done), output_row};
      CARAT_TRY_STATUS(use(piece));
      output_row += piece.count;
      release_mapped_pages(piece.bytes());
      CARAT_TRY_STATUS(count(counts ? static_cast<uint64_t>(piece.count * columns) : 0));
    }
  }
  return success();
}

Status PieceLoop::count(uint64_t weights) {
  done_ += weights;
  if (!progress_(done_, total_)) return Error{ErrorKind::kInterrupted, "the conversion was interrupted"};
  return success();
}

std::string place_of_value(const Checkpoint& input, const Piece& piece, size_t index) {
  const auto columns = static_cast<size_t>(piece.view().columns());
  return input.path().string() + ": " + name_in(input.container(), piece.tensor->name) + ": the value in row " +
         std::to_string(static_cast<size_t>(piece.first) + index / columns) + ", column " +
         std::to_string(index % columns);
}

Status decode_piece(const Checkpoint& input, const Piece& piece, std::vector<float>& values) {
  const auto columns = static_cast<size_t>(piece.view().columns());
  values.resize(static_cast<size_t>(piece.count) * columns);
  for (int64_t row = 0; row < piece.count; ++row) {
    decode_row(piece.view(), piece.first + row, std::span(values).subspan(static_cast<size_t>(row) * columns, columns));
  }
  const auto found = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  if (found == values.end()) return success();
  return refused(place_of_value(input, piece, static_cast<size_t>(found - values.begin())) + " is " +
                 number_text(*found) + ", expected a finite number; the file is damaged");
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

}  // namespace carat
