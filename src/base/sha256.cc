#include "base/sha256.h"

#include <algorithm>
#include <cstring>

namespace carat {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr std::string_view kHexDigits = "0123456789abcdef";

// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
constexpr Sha256State kStart = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

Sha256Blocks fastest_blocks() {
  static const Sha256Blocks x86 = x86_sha256_blocks();
  return x86 != nullptr ? x86 : add_blocks_portable;
}

}  // namespace

Sha256::Sha256() : Sha256(fastest_blocks()) {}

Sha256::Sha256(Sha256Blocks blocks) : blocks_(blocks), state_(kStart), waiting_{} {}

void Sha256::update(Bytes bytes) {
  const size_t waiting = size_ % kSha256Block;
  size_ += bytes.size();
  if (waiting > 0) {
    const size_t taken = std::min(kSha256Block - waiting, bytes.size());
    std::copy_n(bytes.begin(), taken, waiting_.begin() + waiting);
    bytes = bytes.subspan(taken);
    if (waiting + taken < kSha256Block) return;
    blocks_(state_, waiting_.data(), 1);
  }
  const size_t whole = bytes.size() / kSha256Block;
  if (whole > 0) blocks_(state_, bytes.data(), whole);
  std::ranges::copy(bytes.subspan(whole * kSha256Block), waiting_.begin());
}

std::string Sha256::digest() const {
  // What follows the last whole block: a one bit, zeros, and the length in bits.
  std::array<std::byte, 2 * kSha256Block> tail{};
  const size_t waiting = size_ % kSha256Block;
  std::copy_n(waiting_.begin(), waiting, tail.begin());
  tail[waiting] = std::byte{0x80};
  const size_t blocks = waiting + 1 + kLengthBytes <= kSha256Block ? 1 : 2;
  const uint64_t bits = __builtin_bswap64(size_ * 8);
  std::memcpy(tail.data() + blocks * kSha256Block - kLengthBytes, &bits, kLengthBytes);

  Sha256State state = state_;
  blocks_(state, tail.data(), blocks);
  std::string digits;
  for (const uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) digits += kHexDigits[word >> shift & 15];
  }
  return digits;
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(as_bytes(bytes));
  return hash.digest();
}

bool is_sha256(std::string_view text) {
  return text.size() == kSha256Digits && text.find_first_not_of(kHexDigits) == std::string_view::npos;
}

}  // namespace carat
