#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace carat {

/// The numbers by which GGUF files name tensor types (ggml: include/ggml.h, enum ggml_type).
uint32_t ggml_type_of(DType dtype);

/// Nothing for a type that is not supported.
std::optional<DType> dtype_of_ggml_type(uint32_t type);

/// "Q4_K", or "type 99" for a number that has no name.
std::string ggml_type_name(uint32_t type);

}  // namespace carat
