#include "formats/stored_tensor.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "formats/quote.h"

namespace carat {
namespace {

struct StoredType {
  std::string_view name;
  uint64_t bytes;
};

// The types of whole bytes of safetensors (safetensors: safetensors/src/tensor.rs, enum Dtype).
constexpr StoredType kStoredTypes[] = {
    {"F64", 8},     {"F32", 4},     {"F16", 2},     {"BF16", 2},        {"I64", 8},         {"I32", 4},  {"I16", 2},
    {"I8", 1},      {"U64", 8},     {"U32", 4},     {"U16", 2},         {"U8", 1},          {"BOOL", 1}, {"C64", 8},
    {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"F8_E4M3FNUZ", 1}, {"F8_E5M2FNUZ", 1},
};

}  // namespace

std::optional<uint64_t> stored_element_bytes(std::string_view dtype) {
  const auto found = std::ranges::find(kStoredTypes, dtype, &StoredType::name);
  return found == std::end(kStoredTypes) ? std::nullopt : std::optional(found->bytes);
}

std::optional<DType> float_type(std::string_view dtype) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    if (dtype == dtype_name(type)) return type;
  }
  return std::nullopt;
}

Result<NamedTensor> float_tensor(const StoredTensor& stored, std::string name, const std::string& source) {
  if (const auto dtype = float_type(stored.dtype)) {
    return NamedTensor{std::move(name), {*dtype, stored.shape, stored.data}};
  }
  return refused(source + ": " + printable(stored.name) + ": type " + in_quotes(stored.dtype) +
                 " is not supported here; expected F32, F16 or BF16");
}

StoredSpec float_spec(const TensorSpec& tensor, const TensorProducer& producer) {
  CARAT_CHECK(float_type(dtype_name(tensor.dtype)), "a tensor of floats");
  return {tensor.name, std::string(dtype_name(tensor.dtype)), tensor.shape,
          tensor_bytes(tensor.dtype, tensor.shape).value(),
          [tensor, &producer](const ByteSink& sink) { return producer(tensor, sink); }};
}

}  // namespace carat
