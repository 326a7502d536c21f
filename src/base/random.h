#pragma once

#include <cstdint>

namespace carat {

/// A small random generator: the same seed gives the same numbers on every machine and compiler.
///
/// PCG-XSH-RR 64/32 (M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
/// Random Number Generation", 2014). Streams are independent sequences of one seed. Copying copies the state.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0);

  /// 32 random bits.
  uint32_t next();

  /// Uniform in [0, 1), a multiple of 2^-24.
  float uniform();

  /// Uniform in [0, bound), without bias; `bound` is positive.
  uint32_t below(uint32_t bound);

  /// Normal with mean 0 and variance 1 (Marsaglia's polar method, in operations that IEEE 754 makes exact).
  float normal();

 private:
  uint64_t state_ = 0;
  uint64_t increment_ = 1;
};

}  // namespace carat
