#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace carat {

/// Which lattice the tensors lie on whose name matches `pattern`.
struct SchemeRule {
  std::string pattern;  ///< a checkpoint's tensor name; `*` stands for any characters
  DType lattice;
};

/// A *scheme* says, as data, which tensors of a model lie on which lattice. Trainer, converter, quantizer and
/// runtime are given one and know no format by name.
struct Scheme {
  std::string name;
  std::vector<SchemeRule> rules;  ///< in order: the first rule that matches decides

  /// The lattice of a tensor, by its name in a HuggingFace checkpoint without the `language_model.` part,
  /// such as `model.layers.3.mlp.up_proj.weight`. F32 when no rule matches.
  DType lattice_of(std::string_view tensor_name) const;
};

/// `*` in `pattern` stands for any run of characters, also an empty one.
bool matches_pattern(std::string_view pattern, std::string_view text);

/// The schemes that need no file: "f32", "bf16" (matrices bfloat16, vectors float32) and "q4_0" (matrices
/// Q4_0, the per-layer model projection bfloat16 as llama.cpp keeps it, vectors float32).
/// Null when there is none of that name.
const Scheme* built_in_scheme(std::string_view name);

/// Their names, for messages: "f32, bf16, q4_0".
std::string built_in_scheme_names();

}  // namespace carat
