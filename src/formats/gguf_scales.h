#pragma once

#include <vector>

#include "base/result.h"
#include "formats/gguf_fields.h"
#include "formats/named_tensor.h"

/// What a GGUF file of a quantized model can have beside its blocks, so that nothing is lost: an entry and tensors of
/// our own. llama.cpp refuses a file with tensors that it does not know.
///
///     carat.static_scales           string "1", the version of this convention
///     <module>.input_scale          F32 [1]             static quantizer of the inputs of a linear layer
///     <module>.output_scale         F32 [1]             of its outputs; `output` is the module of the head
///     blk.N.attn_k_cache.scale      F32 [1]             of the keys that layer N keeps
///     blk.N.attn_v_cache.scale      F32 [1]             of its values
///     <module>.row_scale            F32 [rows, groups]  the scales of the codes that the blocks of <module>.weight
///                                                       hold, before they were rounded to binary16

namespace carat {

inline constexpr const char* kStaticScalesKey = "carat.static_scales";
inline constexpr const char* kStaticScalesVersion = "1";

/// The tensors of the table, under their names inside Carat, static scales with the shape []. A scale of 0 is none and
/// left out. Refuses them in a file without the entry; those of another version, type or shape; a static scale that is
/// negative or not finite; row scales that do not fit their blocks. Says nothing of other tensors.
Result<std::vector<NamedTensor>> scales_from_gguf(const GgufFields& fields, const std::vector<NamedTensor>& tensors);

}  // namespace carat
