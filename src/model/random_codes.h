#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/random.h"
#include "tensor/dtype.h"

namespace carat {

/// How random codes of one type fall: 256 equally likely ones that follow a bell from the lowest code to the highest.
struct CodeDistribution {
  std::array<int8_t, 256> codes;  ///< in rising order
  double deviation;               ///< standard deviation of a code
};

/// The distribution of I8, I4 or I2.
const CodeDistribution& code_distribution(DType dtype);

/// Fills `out` with packed codes, four from each number of `random`.
void draw_codes(DType dtype, Random& random, std::span<std::byte> out);

}  // namespace carat
