#include "lattice/recover.h"

#include <array>
#include <bit>
#include <cmath>
#include <optional>
#include <utility>

#include "base/check.h"
#include "lattice/recover_magnitudes.h"
#include "lattice/recover_ranges.h"

namespace carat {
namespace {

constexpr size_t kMost = DistinctMagnitudes::kMost;

float number(uint32_t bits) { return std::bit_cast<float>(bits); }

/// How many different magnitudes a group needs for a lattice to be no accident: with fewer, ordinary floats lie on one
/// more often than once in a hundred times.
size_t telling_count(int bits) {
  if (bits == 2) return 2;
  return bits == 4 ? 3 : 10;
}

/// What is known of a group before its lattice is: for each magnitude the products that are rounded to it. The largest
/// magnitude is first, then the smallest, which tells most about the scale.
struct Products {
  size_t count;
  std::array<FloatRange, kMost> range;
  std::array<uint8_t, kMost> place;  ///< in DistinctMagnitudes
  /// Between these lies its code over that of the largest magnitude.
  std::array<float, kMost> least_share, greatest_share;

  bool take(DType value_type, const DistinctMagnitudes& magnitudes);

  /// Whether there may be a lattice with this code of the largest magnitude: a look that costs little and spares most
  /// of the work.
  bool may_have(int top) const;
};

bool Products::take(DType value_type, const DistinctMagnitudes& magnitudes) {
  constexpr float kMoreThanRounding = 0x1p-20f;
  count = magnitudes.count;
  size_t largest = 0, smallest = 0;
  for (size_t i = 0; i < count; ++i) {
    place[i] = static_cast<uint8_t>(i + 1);
    if (magnitudes.bits[i + 1] > magnitudes.bits[largest + 1]) largest = i;
    if (magnitudes.bits[i + 1] < magnitudes.bits[smallest + 1]) smallest = i;
  }
  std::swap(place[0], place[largest]);
  if (smallest == 0) smallest = largest;
  if (count > 2) std::swap(place[1], place[smallest]);
  for (size_t i = 0; i < count; ++i) {
    range[i] = rounded_to(value_type, number(magnitudes.bits[place[i]]));
    if (range[i].empty()) return false;
    least_share[i] = number(range[i].first) / number(range[0].last) * (1 - kMoreThanRounding);
    greatest_share[i] = number(range[i].last) / number(range[0].first) * (1 + kMoreThanRounding);
  }
  return true;
}

bool Products::may_have(int top) const {
  const auto factor = static_cast<float>(top);
  for (size_t i = 1; i < count; ++i) {
    const auto code = static_cast<float>(static_cast<int>(factor * greatest_share[i]));
    if (code < 1 || code < factor * least_share[i]) return false;
  }
  return true;
}

/// The simplest scales found so far, as bits.
struct Found {
  std::optional<uint32_t> fitting;
  std::optional<uint32_t> any;
};

void keep_simpler(std::optional<uint32_t>& kept, std::optional<uint32_t> found) {
  if (found && (!kept || std::countr_zero(*found) > std::countr_zero(*kept))) kept = found;
}

/// Takes from `scales` those that have a code for all products from number `next` on, in rising order. A scale belongs
/// to one code for each, as a rule; where products underflow, to several, and is then visited once.
void narrow(const Products& products, size_t next, FloatRange scales, DType scale_type, Found& found) {
  if (next == products.count) {
    keep_simpler(found.fitting, simplest_of(scale_type, scales));
    keep_simpler(found.any, simplest(scales));
    return;
  }
  const CodeSpan codes = codes_of(scales, products.range[next]);
  for (int code = codes.last; code >= std::max(codes.first, 1) && !scales.empty(); --code) {
    const FloatRange part = scales_of(code, products.range[next], scales);
    if (part.empty()) continue;
    narrow(products, next + 1, part, scale_type, found);
    scales.first = part.last + 1;
  }
}

/// The largest code that the largest magnitude may have, and the sign of the scale that this takes.
struct Extreme {
  int code;
  bool negative_scale;
};

Extreme extreme_code(const RecoverRule& rule, bool positive, bool negative) {
  const int beyond = 1 << (rule.bits - 1);
  const bool both = positive && negative;
  if (!rule.lowest_code || both || (positive && !rule.negative_scales)) return {beyond - 1, false};
  return {beyond, positive};
}

/// The lattice that was found: a positive scale, and the code of the largest magnitude.
struct Lattice {
  Recovery outcome = Recovery::kOffLattice;
  uint32_t scale = 0;
  int top = 0;
};

Lattice coarsest_lattice(const RecoverRule& rule, const Products& products, int highest) {
  Lattice unfit;
  // Different magnitudes have different codes, so that the largest has at least as large a one as there are.
  for (int top = static_cast<int>(products.count); top <= highest; ++top) {
    if (!products.may_have(top)) continue;
    FloatRange scales = scales_of(top, products.range[0]);
    // From then on only a scale that fits matters; subnormal values would be searched for every code without this.
    if (unfit.top != 0) scales = intersection(scales, reach_of(rule.scale_type));
    if (scales.empty()) continue;
    Found found;
    narrow(products, 1, scales, rule.scale_type, found);
    if (found.fitting) return {Recovery::kExact, *found.fitting, top};
    if (found.any && unfit.top == 0) unfit = {Recovery::kScaleUnfit, *found.any, top};
  }
  return unfit;
}

/// The smallest code whose product with the scale is rounded to the magnitude.
int code_of(float scale, FloatRange products) {
  const float least = number(products.first);
  int code = std::max(1, static_cast<int>(least / scale));
  while (static_cast<float>(code) * scale < least) ++code;
  return code;
}

/// Replaces places in `codes` by codes.
void write_codes(const Products& products, float scale, bool negative_scale, std::span<const float> values,
                 std::span<int8_t> codes) {
  int8_t code_of_place[kMost + 1][2] = {};
  for (size_t i = 0; i < products.count; ++i) {
    const int code = code_of(scale, products.range[i]);
    const int of_positive = negative_scale ? -code : code;
    code_of_place[products.place[i]][0] = static_cast<int8_t>(of_positive);
    code_of_place[products.place[i]][1] = static_cast<int8_t>(-of_positive);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    codes[i] = code_of_place[static_cast<uint8_t>(codes[i])][std::signbit(values[i])];
  }
}

}  // namespace

RecoveredGroup recover_group(const RecoverRule& rule, std::span<const float> values, std::span<int8_t> codes) {
  CARAT_CHECK(rule.bits == 2 || rule.bits == 4 || rule.bits == 8, "codes of 2, 4 or 8 bits");
  CARAT_CHECK(codes.size() == values.size(), "a code for each value");
  RecoveredGroup group;
  DistinctMagnitudes magnitudes;
  const std::span<uint8_t> places(reinterpret_cast<uint8_t*>(codes.data()), codes.size());
  const bool few = magnitudes.collect(values, size_t{1} << (rule.bits - 1), places);
  group.telling = !few || magnitudes.count >= telling_count(rule.bits);
  if (!few) return group;
  if (magnitudes.count == 0) {
    group.outcome = Recovery::kExact;
    return group;
  }
  Products products;
  if (!products.take(rule.value_type, magnitudes)) return group;
  const auto [positive, negative] = magnitudes.appears_with[products.place[0]];
  const Extreme extreme = extreme_code(rule, positive, negative);
  const Lattice lattice = coarsest_lattice(rule, products, extreme.code);
  group.outcome = lattice.outcome;
  if (lattice.outcome == Recovery::kOffLattice) return group;
  const bool negative_scale = extreme.negative_scale && lattice.top == extreme.code;
  const float scale = number(lattice.scale);
  write_codes(products, scale, negative_scale, values, codes);
  group.scale = negative_scale ? -scale : scale;
  return group;
}

}  // namespace carat
