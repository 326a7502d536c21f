#include "tensor/tensor.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tensor/float_formats.h"

namespace carat {
std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::optional<int64_t> element_count(const Shape& shape) {
  int64_t count = 1;
  for (int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, extent, &count)) return std::nullopt;
  }
  return count;
}

std::optional<uint64_t> tensor_bytes(DType dtype, const Shape& shape) {
  const auto count = element_count(shape);
  if (!count) return std::nullopt;
  const int64_t columns = shape.empty() ? 1 : shape.back();
  if (columns == 0) return 0;
  const auto bytes_of_row = row_bytes(dtype, static_cast<uint64_t>(columns));
  if (!bytes_of_row) return std::nullopt;
  return checked_multiply(*bytes_of_row, static_cast<uint64_t>(*count / columns));
}

bool is_scale(float value) { return std::isfinite(value) && value > 0.0f; }

bool is_signed_scale(float value) { return std::isfinite(value) && value != 0.0f; }

float ScaleView::at(int64_t row, int64_t group) const {
  const auto index = static_cast<size_t>(row * groups + group);
  if (dtype == DType::kBF16) {
    uint16_t stored;
    std::memcpy(&stored, data.data() + index * sizeof(stored), sizeof(stored));
    return float_from_bf16(stored);
  }
  float scale;
  std::memcpy(&scale, data.data() + index * sizeof(scale), sizeof(scale));
  return scale;
}

int64_t TensorView::rows() const {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

Bytes TensorView::row(int64_t index) const {
  CARAT_CHECK(index >= 0 && index < rows(), "row of a tensor");
  const auto bytes = row_bytes(dtype, static_cast<uint64_t>(columns()));
  return data.subspan(static_cast<size_t>(index) * *bytes, *bytes);
}

}  // namespace carat
