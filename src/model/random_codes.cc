#include "model/random_codes.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "lattice/codes.h"

namespace carat {
namespace {

constexpr size_t kQuantiles = 256;

/// How often each sum of `dice` numbers from 0 to faces - 1 comes.
std::vector<uint64_t> sums_of(int dice, size_t faces) {
  std::vector<uint64_t> counts = {1};
  for (int i = 0; i < dice; ++i) {
    std::vector<uint64_t> next(counts.size() + faces - 1, 0);
    for (size_t sum = 0; sum < counts.size(); ++sum) {
      for (size_t face = 0; face < faces; ++face) next[sum + face] += counts[sum];
    }
    counts = std::move(next);
  }
  return counts;
}

/// Quantiles of a bell around 0, in integers, so that they are the same everywhere: those of a sum of four numbers.
std::array<int, kQuantiles> bell_quantiles() {
  constexpr size_t kFaces = 64;
  constexpr uint64_t kOutcomes = kFaces * kFaces * kFaces * kFaces;
  const std::vector<uint64_t> counts = sums_of(4, kFaces);
  std::array<int, kQuantiles> quantiles{};
  size_t sum = 0;
  uint64_t below = 0;  // outcomes of less than `sum`
  for (size_t i = 0; i < kQuantiles; ++i) {
    const uint64_t middle = (2 * i + 1) * kOutcomes / (2 * kQuantiles);
    while (below + counts[sum] <= middle) below += counts[sum++];
    quantiles[i] = static_cast<int>(sum) - 2 * static_cast<int>(kFaces - 1);
  }
  return quantiles;
}

double deviation_of(std::span<const int8_t> codes) {
  double sum = 0, squares = 0;
  for (const int8_t code : codes) {
    sum += code;
    squares += static_cast<double>(code) * code;
  }
  const auto count = static_cast<double>(codes.size());
  return std::sqrt(squares / count - sum * sum / (count * count));
}

/// The lowest quantile takes the lowest code.
CodeDistribution make_distribution(int bits) {
  const CodeRange range = code_range(bits);
  const std::array<int, kQuantiles> quantiles = bell_quantiles();
  const double step = static_cast<double>(quantiles.front()) / range.lowest;
  CodeDistribution distribution{};
  for (size_t i = 0; i < kQuantiles; ++i) {
    const auto code = static_cast<int>(std::nearbyint(quantiles[i] / step));
    distribution.codes[i] = static_cast<int8_t>(std::min(code, range.highest));
  }
  distribution.deviation = deviation_of(distribution.codes);
  return distribution;
}

/// Four fields of `kBits` from each number.
template <int kBits>
void draw_fields(const std::array<int8_t, kQuantiles>& codes, int offset, Random& random, std::span<std::byte> out) {
  constexpr int kInByte = 8 / kBits;
  constexpr size_t kBytes = 4 / kInByte;
  std::array<uint8_t, kQuantiles> fields;
  for (size_t i = 0; i < kQuantiles; ++i) fields[i] = static_cast<uint8_t>((codes[i] + offset) & ((1 << kBits) - 1));
  for (size_t done = 0; done < out.size(); done += kBytes) {
    uint32_t number = random.next();
    for (size_t i = 0; i < std::min(kBytes, out.size() - done); ++i) {
      uint32_t packed = 0;
      for (int field = 0; field < kInByte; ++field, number >>= 8) packed |= fields[number & 0xff] << (field * kBits);
      out[done + i] = static_cast<std::byte>(packed);
    }
  }
}

}  // namespace

const CodeDistribution& code_distribution(DType dtype) {
  static const CodeDistribution eight = make_distribution(8);
  static const CodeDistribution four = make_distribution(4);
  static const CodeDistribution two = make_distribution(2);
  if (dtype == DType::kI8) return eight;
  CARAT_CHECK(dtype == DType::kI4 || dtype == DType::kI2, "a type of codes that safetensors packs");
  return dtype == DType::kI4 ? four : two;
}

void draw_codes(DType dtype, Random& random, std::span<std::byte> out) {
  const CodeDistribution& distribution = code_distribution(dtype);
  if (dtype == DType::kI8) return draw_fields<8>(distribution.codes, 0, random, out);
  if (dtype == DType::kI4) return draw_fields<4>(distribution.codes, 8, random, out);
  draw_fields<2>(distribution.codes, 2, random, out);
}

}  // namespace carat
