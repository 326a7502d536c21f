#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace carat {

/// The inner function of SHA-256: one for every processor, and one for those with instructions for it.

inline constexpr size_t kSha256Block = 64;

using Sha256State = std::array<uint32_t, 8>;

/// Adds `count` blocks of `kSha256Block` bytes, one after the other, to the state.
using Sha256Blocks = void (*)(Sha256State& state, const std::byte* blocks, size_t count);

void add_blocks_portable(Sha256State& state, const std::byte* blocks, size_t count);

/// By the SHA instructions of x86; null where the processor has none.
Sha256Blocks x86_sha256_blocks();

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
extern const std::array<uint32_t, 64> kSha256RoundConstants;

}  // namespace carat
