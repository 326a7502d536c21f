#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/named_tensor.h"
#include "lattice/scheme.h"

namespace carat {

/// Rows of a tensor of the input.
struct RowRange {
  const NamedTensor* tensor;
  int64_t first;
  int64_t count;
};

/// Where the integer codes of a tensor come from.
enum class CodeOrigin : uint8_t {
  kCodes,         ///< the input has them
  kSharedBlocks,  ///< the input has them in blocks of GGUF, all of one group with the same scale
  kBlocks,        ///< the input has them in blocks of GGUF, each of them a group
  kRecovered,     ///< they are found in values that lie on the lattice
  kRounded,       ///< they are made, by the rule of the lattice
};

/// A tensor of the output as integer codes, each group with a scale, whatever it stores them in: codes, blocks, or
/// their values as F32.
struct CodePlan {
  CodeOrigin origin;
  DType type;               ///< I8, I4 or I2
  int64_t groups;           ///< scales of a row
  SchemeRule asked = {};    ///< of kRecovered and kRounded: the lattice
  bool has_scales = false;  ///< as a tensor of their own
};

/// A tensor of the output, with what makes it up: rows of the input, in order, or tensors of codes side by side.
struct Output {
  TensorSpec spec;
  std::vector<RowRange> rows;
  std::vector<const NamedTensor*> columns;
  DType lattice = DType::kF32;  ///< where the values are to lie, when there is no code plan
  std::optional<CodePlan> codes;
  std::optional<DType> known_lattice;  ///< of floats: the blocks whose values they are
  std::optional<float> number;         ///< a static scale, instead of rows
};

/// The weights of `input` in the form that `container` has for them, with the types in which they are stored now. Only
/// GGUF knows the gates and ups of experts as tensors of their own.
std::vector<Output> arrange(const Checkpoint& input, Container container);

/// The scales of the codes of `output` as a tensor of their own.
TensorSpec scale_tensor_of(const Output& output);

/// The input's scales of the codes that lie in blocks, null when it has none beside them.
const TensorView* exact_scales(const Checkpoint& input, const std::string& name);

/// Whether it is made of rows of blocks or codes, or of floats that are known to be the values of blocks.
bool is_on_lattice(const Output& output);

/// Whether its floats are narrower than the lattice values that they stand for.
bool is_image(const Output& output);

/// Whether `holds` is true of all tensors that give rows to `output`.
bool all_tensors(const Output& output, const auto& holds) {
  return std::ranges::all_of(output.rows, [&](const RowRange& rows) { return holds(*rows.tensor); });
}

}  // namespace carat
