#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/sha256_blocks.h"

namespace carat {

inline constexpr size_t kSha256Digits = 64;

/// SHA-256 (FIPS 180-4) of bytes that come in pieces of any size. It is not hardened against anyone who measures its
/// time.
class Sha256 {
 public:
  /// With the fastest `blocks` that this processor has.
  Sha256();
  explicit Sha256(Sha256Blocks blocks);

  void update(Bytes bytes);

  /// Of all bytes so far, as 64 lower-case hexadecimal digits. More may follow.
  std::string digest() const;

 private:
  Sha256Blocks blocks_;
  Sha256State state_;
  std::array<std::byte, kSha256Block> waiting_;  // the bytes behind the last whole block
  uint64_t size_ = 0;
};

/// Of bytes that are there as a whole.
std::string sha256(std::string_view bytes);

/// Whether a text is what `Sha256::digest` gives.
bool is_sha256(std::string_view text);

}  // namespace carat
