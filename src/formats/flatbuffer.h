#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/result.h"

/// Reading of flatbuffers (flatbuffers.dev/internals) without their compiler. The bytes may be anything: whatever is
/// reached lies inside them, and nothing is allocated. Whoever asks says which table has which field, so that a walk
/// has the depth of its schema whatever the offsets in the file say.

namespace carat {

/// A vector of numbers in a flatbuffer. The numbers lie at any address.
template <typename T>
class FlatNumbers {
 public:
  FlatNumbers() = default;
  explicit FlatNumbers(Bytes bytes) : bytes_(bytes) {}

  size_t size() const { return bytes_.size() / sizeof(T); }
  bool empty() const { return bytes_.empty(); }
  Bytes bytes() const { return bytes_; }

  T operator[](size_t index) const {
    CARAT_CHECK(index < size(), "a number of a vector");
    T value;
    std::memcpy(&value, bytes_.data() + index * sizeof(T), sizeof(T));
    return value;
  }

 private:
  Bytes bytes_;
};

class FlatTables;

/// A table of a flatbuffer: a record whose fields, known by their numbers, may all be absent.
class FlatTable {
 public:
  /// The table that the buffer is about. `source` names the bytes in messages; both outlive all that is read.
  static Result<FlatTable> root(Bytes buffer, const std::string& source);

  /// A number, or `fallback` when the field is absent.
  template <typename T>
  Result<T> number(int field, T fallback) const {
    CARAT_TRY(const std::optional<size_t> place, place_of(field, sizeof(T)));
    return place ? load<T>(buffer_, *place) : fallback;
  }

  /// Nothing when the field is absent.
  Result<std::optional<FlatTable>> table(int field) const;

  /// Empty when the field is absent.
  Result<std::string_view> text(int field) const;
  Result<FlatTables> tables(int field) const;
  template <typename T>
  Result<FlatNumbers<T>> numbers(int field) const {
    CARAT_TRY(const Bytes bytes, vector(field, sizeof(T)));
    return FlatNumbers<T>(bytes);
  }

 private:
  friend class FlatTables;

  FlatTable(Bytes buffer, const std::string& source) : buffer_(buffer), source_(&source) {}

  template <typename T>
  static T load(Bytes buffer, size_t place) {
    T value;
    std::memcpy(&value, buffer.data() + place, sizeof(T));
    return value;
  }

  static Result<FlatTable> at(Bytes buffer, uint64_t place, const std::string& source);
  static Error damaged(const std::string& source, const std::string& what, uint64_t place);
  Result<std::optional<size_t>> place_of(int field, size_t size) const;
  Result<std::optional<uint64_t>> target_of(int field) const;
  Result<Bytes> vector(int field, size_t element_size) const;

  Bytes buffer_;
  const std::string* source_;
  size_t place_ = 0;   // of the table
  size_t size_ = 0;    // of the table
  size_t fields_ = 0;  // place of the offsets of its fields
  size_t count_ = 0;   // of those offsets
};

/// A vector of tables in a flatbuffer.
class FlatTables {
 public:
  size_t size() const { return offsets_.size() / sizeof(uint32_t); }
  Result<FlatTable> at(size_t index) const;

 private:
  friend class FlatTable;
  FlatTables(Bytes buffer, Bytes offsets, const std::string& source)
      : buffer_(buffer), offsets_(offsets), source_(&source) {}

  Bytes buffer_;
  Bytes offsets_;
  const std::string* source_;
};

}  // namespace carat
