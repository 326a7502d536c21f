#include "base/random.h"

#include <bit>
#include <cmath>

#include "base/check.h"

namespace carat {
namespace {

constexpr uint64_t kMultiplier = 6364136223846793005u;
constexpr double kLn2 = 0x1.62e42fefa39efp-1;

// The C library's log differs between machines in the last bit. This one uses only operations that do not:
// log(m 2^e) = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in [0.75, 1.5), by the series of atanh.
double natural_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.75) {
    mantissa *= 2;
    --exponent;
  }
  const double t = (mantissa - 1) / (mantissa + 1);
  const double square = t * t;
  double sum = 0;
  for (int k = 25; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * kLn2 + 2 * t * sum;
}

}  // namespace

Random::Random(uint64_t seed, uint64_t stream) : increment_((stream << 1) | 1) {
  next();
  state_ += seed;
  next();
}

uint32_t Random::next() {
  const uint64_t old = state_;
  state_ = old * kMultiplier + increment_;
  const auto mixed = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
  return std::rotr(mixed, static_cast<int>(old >> 59));
}

float Random::uniform() { return static_cast<float>(next() >> 8) * 0x1p-24f; }

uint32_t Random::below(uint32_t bound) {
  CARAT_CHECK(bound > 0, "a bound is positive");
  // Numbers under 2^32 mod bound would make the smallest results more likely.
  const uint32_t skipped = (0u - bound) % bound;
  while (true) {
    const uint32_t number = next();
    if (number >= skipped) return number % bound;
  }
}

float Random::normal() {
  while (true) {
    const double u = (next() + 0.5) * 0x1p-31 - 1.0;
    const double v = (next() + 0.5) * 0x1p-31 - 1.0;
    const double s = u * u + v * v;
    if (s < 1.0) return static_cast<float>(u * std::sqrt(-2.0 * natural_log(s) / s));
  }
}

}  // namespace carat
