#include "formats/convert_moves.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

/// The value as a float of this type holds it.
float as_stored(DType type, float value) {
  if (type == DType::kBF16) return float_from_bf16(bf16_from_float(value));
  if (type == DType::kF16) return float_from_f16(f16_from_float(value));
  return value;
}

double square(float value) { return static_cast<double>(value) * static_cast<double>(value); }

}  // namespace

void Moves::add_still(std::span<const float> values) {
  for (const float value : values) old_squares += square(value);
}

void Moves::add(std::span<const float> before, std::span<const float> after, DType stored) {
  CARAT_CHECK(before.size() == after.size(), "weights before and after");
  for (size_t i = 0; i < before.size(); ++i) {
    old_squares += square(before[i]);
    if (after[i] == before[i] || as_stored(stored, after[i]) == before[i]) continue;
    const double move = std::fabs(static_cast<double>(after[i]) - static_cast<double>(before[i]));
    ++weights;
    largest = std::max(largest, move);
    squares += move * move;
  }
}

void Moves::add_tensor(const Moves& other) {
  if (other.weights == 0) return;
  weights += other.weights;
  largest = std::max(largest, other.largest);
  squares += other.squares;
  old_squares += other.old_squares;
}

}  // namespace carat
