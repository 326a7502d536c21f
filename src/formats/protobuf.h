#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace carat {

/// One field of a message in Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding).
struct ProtoField {
  enum class Kind : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  uint32_t number = 0;
  Kind kind = Kind::kVarint;
  uint64_t bits = 0;  ///< of a number; those of a negative one are its two's complement
  Bytes bytes;        ///< of a string, a byte string or a message; lie in the message that was read

  /// The value of a field of that type; what is of another kind reads as nothing.
  std::optional<int64_t> integer() const;
  std::optional<bool> flag() const;
  std::optional<float> number32() const;
  std::optional<Bytes> text() const;
};

/// Reads the fields of one message front to back. The bytes may be anything; nothing is allocated.
class ProtoReader {
 public:
  /// `bytes` outlive the reader. `source` names the message in messages for people.
  ProtoReader(Bytes bytes, std::string source) : reader_(bytes), source_(std::move(source)) {}

  bool at_end() const { return reader_.remaining() == 0; }

  /// The next field. Refuses a field that ends behind the message, a number of more than 64 bits, and groups, which
  /// nobody writes any more.
  Result<ProtoField> next();

 private:
  Result<uint64_t> varint();
  Error damaged(const std::string& what) const;

  ByteReader reader_;
  std::string source_;
};

}  // namespace carat
