#include "formats/protobuf.h"

#include <bit>

namespace carat {

std::optional<int64_t> ProtoField::integer() const {
  return kind == Kind::kVarint ? std::optional(static_cast<int64_t>(bits)) : std::nullopt;
}

std::optional<bool> ProtoField::flag() const { return kind == Kind::kVarint ? std::optional(bits != 0) : std::nullopt; }

std::optional<float> ProtoField::number32() const {
  return kind == Kind::kFixed32 ? std::optional(std::bit_cast<float>(static_cast<uint32_t>(bits))) : std::nullopt;
}

std::optional<Bytes> ProtoField::text() const { return kind == Kind::kBytes ? std::optional(bytes) : std::nullopt; }

Error ProtoReader::damaged(const std::string& what) const {
  return refused(source_ + ": " + what + " at byte " + std::to_string(reader_.position()) +
                 "; the file is damaged or of another kind, copy it again");
}

Result<uint64_t> ProtoReader::varint() {
  constexpr int kBits = 64;
  uint64_t value = 0;
  for (int shift = 0; shift < kBits; shift += 7) {
    const auto byte = reader_.read<uint8_t>();
    if (!byte) return damaged("the message ends in the middle of a number");
    const uint64_t part = *byte & 0x7F;
    if (shift == 63 && part > 1) break;
    value |= part << shift;
    if (*byte < 0x80) return value;
  }
  return damaged("a number of more than 64 bits");
}

Result<ProtoField> ProtoReader::next() {
  CARAT_TRY(const uint64_t tag, varint());
  ProtoField field;
  field.number = static_cast<uint32_t>(tag >> 3);
  field.kind = static_cast<ProtoField::Kind>(tag & 7);
  if (field.number == 0 || tag >> 32 != 0) return damaged("a field without a number");
  switch (field.kind) {
    case ProtoField::Kind::kVarint: {
      CARAT_TRY(field.bits, varint());
      return field;
    }
    case ProtoField::Kind::kFixed64:
    case ProtoField::Kind::kFixed32: {
      const bool wide = field.kind == ProtoField::Kind::kFixed64;
      const auto bits = wide ? reader_.read<uint64_t>() : std::optional<uint64_t>(reader_.read<uint32_t>());
      if (!bits) return damaged("the message ends in the middle of a number");
      field.bits = *bits;
      return field;
    }
    case ProtoField::Kind::kBytes: {
      CARAT_TRY(const uint64_t size, varint());
      const auto bytes = reader_.take(size);
      if (!bytes) return damaged("a field of " + std::to_string(size) + " bytes does not fit in the bytes left");
      field.bytes = *bytes;
      return field;
    }
  }
  return damaged("a field of kind " + std::to_string(tag & 7));
}

}  // namespace carat
