#include "lattice/lattice.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "lattice/q4_0.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

// Bytes of a file can lie at any address, so stored values are copied rather than used through a typed pointer.
template <typename Stored, size_t kValues, typename Encode>
void encode_each(std::span<const float> values, std::byte* out, Encode encode_one) {
  for (size_t i = 0; i < values.size(); i += kValues) {
    const Stored stored = encode_one(values.data() + i);
    std::memcpy(out + i / kValues * sizeof(Stored), &stored, sizeof(Stored));
  }
}

template <typename Stored, size_t kValues, typename Decode>
void decode_each(const std::byte* bytes, std::span<float> values, Decode decode_one) {
  for (size_t i = 0; i < values.size(); i += kValues) {
    Stored stored;
    std::memcpy(&stored, bytes + i / kValues * sizeof(Stored), sizeof(Stored));
    decode_one(stored, values.data() + i);
  }
}

// What `snap` stores at a time: a whole number of blocks of every type, small enough for the stack.
constexpr size_t kValuesAtOnce = 512;

void check_size(DType dtype, size_t values, size_t bytes) {
  const auto expected = row_bytes(dtype, values);
  CARAT_CHECK(expected && *expected == bytes, "values and bytes of one lattice fit each other");
}

}  // namespace

void encode(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  check_size(dtype, values.size(), out.size());
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
      return;
    case DType::kF16:
      return encode_each<uint16_t, 1>(values, out.data(), [](const float* v) { return f16_from_float(*v); });
    case DType::kBF16:
      return encode_each<uint16_t, 1>(values, out.data(), [](const float* v) { return bf16_from_float(*v); });
    case DType::kQ4_0:
      return encode_each<BlockQ4_0, kQ4_0Elements>(
          values, out.data(), [](const float* v) { return encode_q4_0(Q4_0Values(v, kQ4_0Elements)); });
  }
}

void decode(DType dtype, Bytes bytes, std::span<float> values) {
  check_size(dtype, values.size(), bytes.size());
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
      return;
    case DType::kF16:
      return decode_each<uint16_t, 1>(bytes.data(), values, [](uint16_t s, float* v) { *v = float_from_f16(s); });
    case DType::kBF16:
      return decode_each<uint16_t, 1>(bytes.data(), values, [](uint16_t s, float* v) { *v = float_from_bf16(s); });
    case DType::kQ4_0:
      return decode_each<BlockQ4_0, kQ4_0Elements>(bytes.data(), values, [](const BlockQ4_0& block, float* v) {
        decode_q4_0(block, std::span<float, kQ4_0Elements>(v, kQ4_0Elements));
      });
  }
}

void snap(DType dtype, std::span<const float> values, std::span<float> out) {
  CARAT_CHECK(values.size() == out.size(), "snap keeps the number of values");
  CARAT_CHECK(values.size() % static_cast<size_t>(block_elements(dtype)) == 0, "snap works on whole blocks");
  std::byte stored[kValuesAtOnce * sizeof(float)];
  for (size_t first = 0; first < values.size(); first += kValuesAtOnce) {
    const size_t count = std::min(kValuesAtOnce, values.size() - first);
    const std::span<std::byte> bytes(stored, *row_bytes(dtype, count));
    encode(dtype, values.subspan(first, count), bytes);
    decode(dtype, bytes, out.subspan(first, count));
  }
}

void decode_row(const TensorView& view, int64_t row, std::span<float> out) { decode(view.dtype, view.row(row), out); }

std::vector<float> decode_tensor(const TensorView& view) {
  std::vector<float> values(static_cast<size_t>(view.rows() * view.columns()));
  decode(view.dtype, view.data, values);
  return values;
}

}  // namespace carat
