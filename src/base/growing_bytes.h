#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace carat {

/// Memory that grows without being touched: the system gives its pages when they are first written, and moves whole
/// pages where it can instead of copying them. New bytes have any value.
class GrowingBytes {
 public:
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }

  /// Makes it `size` bytes, no fewer than now. False when memory is short; all is then as it was.
  bool grow(size_t size) {
    if (size == size_) return true;
    if (size > kAddressable) return false;
    void* grown = std::realloc(data_.get(), size);
    if (grown == nullptr) return false;
    static_cast<void>(data_.release());
    data_.reset(static_cast<std::byte*>(grown));
    size_ = size;
    return true;
  }

 private:
  // What a process of a 64-bit processor has at most; sanitizers end the process when more is asked for.
  static constexpr size_t kAddressable = size_t{1} << 47;

  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };

  std::unique_ptr<std::byte[], Free> data_;
  size_t size_ = 0;
};

}  // namespace carat
