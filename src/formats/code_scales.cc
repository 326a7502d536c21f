#include "formats/code_scales.h"

#include <algorithm>
#include <functional>

#include "base/mapped_pages.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

/// Calls `use` with one piece after the other and releases their pages; stops when it returns false.
bool for_each_piece(Bytes bytes, const std::function<bool(size_t begin, Bytes piece)>& use) {
  bool going = true;
  for (size_t begin = 0; going && begin < bytes.size(); begin += kPiece) {
    const Bytes piece = bytes.subspan(begin, std::min(kPiece, bytes.size() - begin));
    going = use(begin, piece);
    release_mapped_pages(piece);
  }
  return going;
}

}  // namespace

Status check_scales(const std::string& name, const ScaleView& scales, const std::string& source, ScaleSigns signs) {
  const auto is_allowed = signs == ScaleSigns::kBoth ? is_signed_scale : is_scale;
  const auto size = static_cast<size_t>(block_bytes(scales.dtype));
  size_t bad = 0;
  float found = 0;
  const bool good = for_each_piece(scales.data, [&](size_t begin, Bytes piece) {
    for (size_t i = 0; i < piece.size(); i += size) {
      found = ScaleView{scales.dtype, 1, piece.subspan(i, size)}.at(0, 0);
      bad = (begin + i) / size;
      if (!is_allowed(found)) return false;
    }
    return true;
  });
  if (good) return success();
  const auto groups = static_cast<size_t>(scales.groups);
  const std::string group = groups == 1 ? "" : ", group " + std::to_string(bad % groups);
  return refused(source + ": " + printable(name) + ": the scale of row " + std::to_string(bad / groups) + group +
                 " is " + number_text(found) + ", expected one " +
                 (signs == ScaleSigns::kBoth ? "that is finite and not zero" : "above zero") +
                 "; the file is damaged, copy it again");
}

Result<float> static_scale(const StoredTensor& stored, const std::string& source) {
  const auto dtype = float_type(stored.dtype);
  const bool known = dtype == DType::kF32 || dtype == DType::kBF16;
  if (!known || stored.data.size() != static_cast<size_t>(block_bytes(*dtype))) {
    return refused(source + ": " + printable(stored.name) + ": expected one F32 or BF16 number, found " +
                   shape_text(stored.shape) + " " + printable(stored.dtype));
  }
  const float scale = ScaleView{*dtype, 1, stored.data}.at(0, 0);
  if (scale == 0 || is_scale(scale)) return scale;
  return refused(source + ": " + printable(stored.name) + ": the scale of a static quantizer is " + number_text(scale) +
                 ", expected one above zero, or zero for none; the file is damaged, copy it again");
}

bool same_mapped_bytes(Bytes a, Bytes b) {
  if (a.size() != b.size()) return false;
  return for_each_piece(a, [&](size_t begin, Bytes piece) {
    const Bytes other = b.subspan(begin, piece.size());
    const bool same = std::ranges::equal(piece, other);
    release_mapped_pages(other);
    return same;
  });
}

bool same_stored(const TensorView& a, const TensorView& b) {
  const bool alike = a.dtype == b.dtype && a.shape == b.shape && a.scales.dtype == b.scales.dtype &&
                     a.scales.groups == b.scales.groups;
  return alike && same_mapped_bytes(a.data, b.data) && same_mapped_bytes(a.scales.data, b.scales.data);
}

}  // namespace carat
