#include "formats/flatbuffer.h"

namespace carat {
namespace {

constexpr size_t kOffsetSize = sizeof(uint32_t);
// A vtable begins with its own size and that of the table.
constexpr size_t kVtableHead = 2 * sizeof(uint16_t);

bool fits(Bytes buffer, uint64_t place, uint64_t size) {
  return place <= buffer.size() && size <= buffer.size() - place;
}

}  // namespace

Error FlatTable::damaged(const std::string& source, const std::string& what, uint64_t place) {
  return refused(source + ": " + what + " at byte " + std::to_string(place) +
                 " reaches beyond its end or contradicts itself; the file is damaged, copy it again");
}

Result<FlatTable> FlatTable::root(Bytes buffer, const std::string& source) {
  if (!fits(buffer, 0, kOffsetSize)) return damaged(source, "the flatbuffer", 0);
  return at(buffer, load<uint32_t>(buffer, 0), source);
}

Result<FlatTable> FlatTable::at(Bytes buffer, uint64_t place, const std::string& source) {
  if (!fits(buffer, place, kOffsetSize)) return damaged(source, "a table", place);
  // The distance back to the vtable; vtables may lie on either side of their tables.
  const int64_t vtable = static_cast<int64_t>(place) - load<int32_t>(buffer, place);
  if (vtable < 0 || !fits(buffer, static_cast<uint64_t>(vtable), kVtableHead)) {
    return damaged(source, "the field list of the table", place);
  }
  const auto fields = static_cast<size_t>(vtable);
  const size_t list_size = load<uint16_t>(buffer, fields);
  FlatTable table(buffer, source);
  table.place_ = place;
  table.size_ = load<uint16_t>(buffer, fields + sizeof(uint16_t));
  if (list_size < kVtableHead || !fits(buffer, fields, list_size) || table.size_ < kOffsetSize ||
      !fits(buffer, place, table.size_)) {
    return damaged(source, "the field list of the table", place);
  }
  table.fields_ = fields + kVtableHead;
  table.count_ = (list_size - kVtableHead) / sizeof(uint16_t);
  return table;
}

Result<std::optional<size_t>> FlatTable::place_of(int field, size_t size) const {
  const auto index = static_cast<size_t>(field);
  if (index >= count_) return std::optional<size_t>();
  const size_t offset = load<uint16_t>(buffer_, fields_ + index * sizeof(uint16_t));
  if (offset == 0) return std::optional<size_t>();
  if (offset < kOffsetSize || offset + size > size_) return damaged(*source_, "a field of the table", place_);
  return std::optional(place_ + offset);
}

Result<std::optional<uint64_t>> FlatTable::target_of(int field) const {
  CARAT_TRY(const std::optional<size_t> place, place_of(field, kOffsetSize));
  if (!place) return std::optional<uint64_t>();
  return std::optional(uint64_t{*place} + load<uint32_t>(buffer_, *place));
}

Result<std::optional<FlatTable>> FlatTable::table(int field) const {
  CARAT_TRY(const std::optional<uint64_t> target, target_of(field));
  if (!target) return std::optional<FlatTable>();
  CARAT_TRY(const FlatTable found, at(buffer_, *target, *source_));
  return std::optional(found);
}

Result<Bytes> FlatTable::vector(int field, size_t element_size) const {
  CARAT_TRY(const std::optional<uint64_t> target, target_of(field));
  if (!target) return Bytes();
  if (!fits(buffer_, *target, kOffsetSize)) return damaged(*source_, "a vector", *target);
  const uint64_t bytes = uint64_t{load<uint32_t>(buffer_, *target)} * element_size;
  if (!fits(buffer_, *target + kOffsetSize, bytes)) return damaged(*source_, "a vector", *target);
  return buffer_.subspan(*target + kOffsetSize, bytes);
}

Result<std::string_view> FlatTable::text(int field) const {
  CARAT_TRY(const Bytes bytes, vector(field, 1));
  return as_text(bytes);
}

Result<FlatTables> FlatTable::tables(int field) const {
  CARAT_TRY(const Bytes offsets, vector(field, kOffsetSize));
  return FlatTables(buffer_, offsets, *source_);
}

Result<FlatTable> FlatTables::at(size_t index) const {
  CARAT_CHECK(index < size(), "a table of a vector");
  const Bytes place = offsets_.subspan(index * kOffsetSize);
  const auto begin = static_cast<uint64_t>(place.data() - buffer_.data());
  return FlatTable::at(buffer_, begin + FlatTable::load<uint32_t>(place, 0), *source_);
}

}  // namespace carat
