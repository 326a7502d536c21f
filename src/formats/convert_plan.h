#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/convert.h"
#include "formats/named_tensor.h"

namespace carat {

/// Rows of a tensor of the input.
struct RowRange {
  const NamedTensor* tensor;
  int64_t first;
  int64_t count;
};

/// Where the integer codes of a tensor come from.
enum class CodeOrigin : uint8_t {
  kCodes,   ///< the input has them
  kBlocks,  ///< the input has them in blocks of GGUF
  kValues,  ///< they are made, and their scales
};

/// Integer codes of a tensor of the output; in a GGUF file they lie in blocks of the output's type.
struct CodePlan {
  CodeOrigin origin;
  DType type;      ///< I8, I4 or I2
  int64_t groups;  ///< scales of a row
};

/// A tensor of the output, with what makes it up: rows of the input, in order, or tensors of codes side by side.
struct Output {
  TensorSpec spec;
  std::vector<RowRange> rows;
  std::vector<const NamedTensor*> columns;
  DType lattice = DType::kF32;  ///< where the values are to lie, when there is no code plan
  std::optional<CodePlan> codes;
  std::optional<float> number;  ///< a static scale, instead of rows
};

/// The tensors of the new checkpoint in `container`, their scales beside blocks aside, then those of its static
/// quantizers. `lattices` is null when each tensor stays on the lattice of its own type. Refuses codes that the
/// container cannot hold, and static quantizers without a scale.
Result<std::vector<Output>> plan_outputs(const Checkpoint& input, Container container, const ConvertOptions& options,
                                         const Scheme* lattices);

/// The scales of the codes of `output` as a tensor of their own.
TensorSpec scale_tensor_of(const Output& output);

/// The input's scales of the codes that lie in blocks, null when it has none beside them.
const TensorView* exact_scales(const Checkpoint& input, const std::string& name);

}  // namespace carat
