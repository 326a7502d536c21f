#include "lattice/recover_magnitudes.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace carat {
namespace {

constexpr uint32_t kSign = 0x80000000, kInfinity = 0x7f800000;
constexpr size_t kMostSlots = 1024;

/// Bits of a hash, so that at most a quarter of the slots is taken.
int hash_bits(size_t most) { return std::bit_width(most) + 2; }

/// Spreads the bits of floats, of which those of narrow types have only zeros at their end (multiplication by 2^32 over
/// the golden ratio).
size_t slot_of(uint32_t bits, int hash) { return (bits * 0x9e3779b1u) >> (32 - hash); }

}  // namespace

bool DistinctMagnitudes::collect(std::span<const float> values, size_t most, std::span<uint8_t> places) {
  CARAT_CHECK(most <= kMost && places.size() == values.size(), "a place for each value");
  const int hash = hash_bits(most);
  const size_t slots = size_t{1} << hash;
  uint8_t place_in[kMostSlots];
  std::fill_n(place_in, slots, uint8_t{0});
  count = 0;
  bits[0] = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto signed_bits = std::bit_cast<uint32_t>(values[i]);
    const uint32_t magnitude = signed_bits & ~kSign;
    size_t slot = slot_of(magnitude, hash);
    // A free slot has the place of zero, so that zeros are found there, and are none of the others.
    while (bits[place_in[slot]] != magnitude && place_in[slot] != 0) slot = (slot + 1) & (slots - 1);
    if (bits[place_in[slot]] != magnitude) {
      if (count == most || magnitude >= kInfinity) return false;
      place_in[slot] = static_cast<uint8_t>(++count);
      bits[count] = magnitude;
      appears_with[count] = {false, false};
    }
    places[i] = place_in[slot];
    appears_with[places[i]][signed_bits >> 31] = true;
  }
  return true;
}

}  // namespace carat
