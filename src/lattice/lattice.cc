#include "lattice/lattice.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/check.h"
#include "lattice/codes.h"
#include "lattice/q4_0.h"
#include "lattice/q8_0.h"
#include "lattice/small_blocks.h"
#include "lattice/super_blocks.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

// Bytes of a file can lie at any address, so stored values are copied rather than used through a typed pointer.
constexpr float kLargestF16 = 65504.0f, kLargestBF16 = 0x1.fep127f;

template <typename Encode>
void encode_halves(std::span<const float> values, std::byte* out, float largest, Encode encode_one) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t stored = encode_one(std::clamp(values[i], -largest, largest));
    std::memcpy(out + i * sizeof(stored), &stored, sizeof(stored));
  }
}

template <typename Decode>
void decode_halves(const std::byte* bytes, std::span<float> values, Decode decode_one) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t stored;
    std::memcpy(&stored, bytes + i * sizeof(stored), sizeof(stored));
    values[i] = decode_one(stored);
  }
}

template <typename Block, size_t kElements>
void encode_blocks(std::span<const float> values, std::byte* out,
                   Block (*encode_block)(std::span<const float, kElements>)) {
  for (size_t i = 0; i < values.size(); i += kElements) {
    const Block block = encode_block(std::span<const float, kElements>(values.data() + i, kElements));
    std::memcpy(out + i / kElements * sizeof(Block), &block, sizeof(Block));
  }
}

template <typename Block, size_t kElements>
void decode_blocks(const std::byte* bytes, std::span<float> values,
                   void (*decode_block)(const Block&, std::span<float, kElements>)) {
  for (size_t i = 0; i < values.size(); i += kElements) {
    Block block;
    std::memcpy(&block, bytes + i / kElements * sizeof(Block), sizeof(Block));
    decode_block(block, std::span<float, kElements>(values.data() + i, kElements));
  }
}

void decode_codes(DType dtype, Bytes bytes, std::span<float> values) {
  constexpr size_t kAtOnce = 256;
  int8_t codes[kAtOnce];
  for (size_t first = 0; first < values.size(); first += kAtOnce) {
    const size_t count = std::min(kAtOnce, values.size() - first);
    unpack_codes(dtype, bytes.subspan(*row_bytes(dtype, first), *row_bytes(dtype, count)), {codes, count});
    std::copy_n(codes, count, values.begin() + static_cast<std::ptrdiff_t>(first));
  }
}

constexpr DType kEncodable[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ8_0};

// What `snap` stores at a time: a whole number of blocks of every type, small enough for the stack.
constexpr size_t kValuesAtOnce = 512;

void check_size(DType dtype, size_t values, size_t bytes) {
  const auto expected = row_bytes(dtype, values);
  CARAT_CHECK(expected && *expected == bytes, "values and bytes of one lattice fit each other");
}

}  // namespace

bool can_encode(DType dtype) { return std::ranges::find(kEncodable, dtype) != std::end(kEncodable); }

std::string encodable_names() {
  std::string names;
  for (const DType dtype : kEncodable) names += (names.empty() ? "" : ", ") + std::string(dtype_name(dtype));
  return names;
}

void encode(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  check_size(dtype, values.size(), out.size());
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
      return;
    case DType::kF16:
      return encode_halves(values, out.data(), kLargestF16, f16_from_float);
    case DType::kBF16:
      return encode_halves(values, out.data(), kLargestBF16, bf16_from_float);
    case DType::kQ4_0:
      return encode_blocks(values, out.data(), encode_q4_0);
    case DType::kQ8_0:
      return encode_blocks(values, out.data(), encode_q8_0);
    default:
      CARAT_CHECK(can_encode(dtype), "values are moved to types that can be encoded");
  }
}

void decode(DType dtype, Bytes bytes, std::span<float> values) {
  check_size(dtype, values.size(), bytes.size());
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
      return;
    case DType::kF16:
      return decode_halves(bytes.data(), values, float_from_f16);
    case DType::kBF16:
      return decode_halves(bytes.data(), values, float_from_bf16);
    case DType::kQ4_0:
      return decode_blocks(bytes.data(), values, decode_q4_0);
    case DType::kQ4_1:
      return decode_blocks(bytes.data(), values, decode_q4_1);
    case DType::kQ5_0:
      return decode_blocks(bytes.data(), values, decode_q5_0);
    case DType::kQ5_1:
      return decode_blocks(bytes.data(), values, decode_q5_1);
    case DType::kQ8_0:
      return decode_blocks(bytes.data(), values, decode_q8_0);
    case DType::kQ2_K:
      return decode_blocks(bytes.data(), values, decode_q2_k);
    case DType::kQ3_K:
      return decode_blocks(bytes.data(), values, decode_q3_k);
    case DType::kQ4_K:
      return decode_blocks(bytes.data(), values, decode_q4_k);
    case DType::kQ5_K:
      return decode_blocks(bytes.data(), values, decode_q5_k);
    case DType::kQ6_K:
      return decode_blocks(bytes.data(), values, decode_q6_k);
    case DType::kTQ2_0:
      return decode_blocks(bytes.data(), values, decode_tq2_0);
    case DType::kQ2_0:
      return decode_blocks(bytes.data(), values, decode_q2_0);
    case DType::kI8:
    case DType::kI4:
    case DType::kI2:
    case DType::kS4:
    case DType::kS2:
      return decode_codes(dtype, bytes, values);
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

void decode_row(const TensorView& view, int64_t row, std::span<float> out) {
  decode(view.dtype, view.row(row), out);
  if (!is_code_type(view.dtype)) return;
  const auto length = out.size() / static_cast<size_t>(view.scales.groups);
  for (int64_t group = 0; group < view.scales.groups; ++group) {
    const float scale = view.scales.at(row, group);
    for (float& value : out.subspan(static_cast<size_t>(group) * length, length)) value *= scale;
  }
}

std::vector<float> decode_tensor(const TensorView& view) {
  const auto columns = static_cast<size_t>(view.columns());
  std::vector<float> values(static_cast<size_t>(view.rows()) * columns);
  for (int64_t row = 0; row < view.rows(); ++row) {
    decode_row(view, row, std::span(values).subspan(static_cast<size_t>(row) * columns, columns));
  }
  return values;
}

}  // namespace carat
