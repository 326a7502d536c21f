#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace carat {

using Bytes = std::span<const std::byte>;

inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

static_assert(std::endian::native == std::endian::little, "every format read here is little-endian");

/// `a * b`, or nothing when the product does not fit; for sizes that come from a file.
inline std::optional<uint64_t> checked_multiply(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// Reads little-endian values from untrusted bytes, front to back. It never reads past the end: a read that
/// does not fit yields nothing and leaves the position where it was.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  requires std::integral<T> || std::floating_point<T> std::optional<T> read() {
    if (remaining() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  /// A view of the next `count` bytes; `count` may be anything, however large.
  std::optional<Bytes> take(uint64_t count) {
    if (count > remaining()) return std::nullopt;
    Bytes taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

 private:
  Bytes bytes_;
  size_t position_ = 0;
};

}  // namespace carat
