#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace carat {

/// Which lattice the tensors lie on whose name matches `pattern`.
struct SchemeRule {
  std::string pattern;        ///< a checkpoint's tensor name; `*` stands for any characters
  DType lattice;              ///< one that can be encoded, or integer codes: I8, I4, I2
  int64_t group = 0;          ///< of codes: columns that share a scale; 0 means a whole row
  bool static_range = false;  ///< the linear layer's input and output go through static 8-bit quantizers
};

/// A *scheme* says, as data, which tensors of a model lie on which lattice. Trainer, converter, quantizer and
/// runtime are given one and know no format by name.
struct Scheme {
  std::string name;
  std::vector<SchemeRule> rules;  ///< in order: the first rule that matches decides
  bool static_cache = false;      ///< keys and values are kept as 8-bit codes with a static scale for each layer

  /// The rule that decides for a tensor, null when none matches.
  const SchemeRule* rule_for(std::string_view tensor_name) const;

  /// The lattice of a tensor, by its name in a HuggingFace checkpoint without the `language_model.` part,
  /// such as `model.layers.3.mlp.up_proj.weight`. F32 when no rule matches.
  DType lattice_of(std::string_view tensor_name) const;
};

/// `*` in `pattern` stands for any run of characters, also an empty one.
bool matches_pattern(std::string_view pattern, std::string_view text);

/// The schemes that need no file: "f32", and "f16", "bf16", "q8_0", "q4_0", which store matrices in the type that
/// they name, vectors and the routers of experts as float32. With block types the per-layer model projection is
/// bfloat16, as llama.cpp keeps it. Null when there is none of that name.
const Scheme* built_in_scheme(std::string_view name);

/// Their names, for messages: "f32, f16, bf16, q8_0, q4_0".
std::string built_in_scheme_names();

/// The scheme whose rules follow from a model's shape (`mobile_scheme` in src/model). No other scheme has its name.
inline constexpr std::string_view kMobileSchemeName = "mobile";

/// Whether any rule asks for blocks.
bool has_blocks(const Scheme& scheme);

/// Whether any rule asks for integer codes, static quantizers included.
bool has_codes(const Scheme& scheme);

}  // namespace carat
