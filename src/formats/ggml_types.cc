#include "formats/ggml_types.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace carat {
namespace {

// By number; an empty name is a number that was given up.
constexpr std::string_view kNames[] = {
    "F32",   "F16",    "Q4_0",  "Q4_1", "",     "",        "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S", "IQ4_XS", "I8",    "I16",  "I32",  "I64",     "F64",    "IQ1_M",   "BF16",  "",       "",
    "",      "TQ1_0",  "TQ2_0", "",     "",     "",        "MXFP4",  "NVFP4",   "Q1_0",  "Q2_0",
};

/// By DType.
constexpr uint32_t kNumbers[kGgufDTypes] = {0, 1, 30, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 35, 42};

}  // namespace

uint32_t ggml_type_of(DType dtype) { return kNumbers[static_cast<size_t>(dtype)]; }

std::optional<DType> dtype_of_ggml_type(uint32_t type) {
  const auto* found = std::ranges::find(kNumbers, type);
  if (found == std::end(kNumbers)) return std::nullopt;
  return static_cast<DType>(found - std::begin(kNumbers));
}

std::string ggml_type_name(uint32_t type) {
  if (type < std::size(kNames) && !kNames[type].empty()) return std::string(kNames[type]);
  return "type " + std::to_string(type);
}

}  // namespace carat
