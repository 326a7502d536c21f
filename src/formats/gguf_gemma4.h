#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint_content.h"
#include "formats/gguf.h"
#include "formats/gguf_fields.h"
#include "formats/gguf_write.h"
#include "formats/tensor_stream.h"

/// The GGUF form of a Gemma 4 text model, as llama.cpp's converter writes it and llama.cpp loads it (llama.cpp:
/// conversion/gemma.py, src/models/gemma4.cpp), and entries of our own that others ignore (scales beside the blocks
/// are in gguf_scales.h):
///
///     carat.sha256           string     of the whole file, with these 64 digits as '0'
///     carat.scheme           string     ModelConfig::scheme
///     carat.provenance       string     ModelConfig::provenance, as JSON
///     carat.stop_token_ids   [i32]      Vocabulary::stop; GGUF itself has room for one or two
///
/// llama.cpp lets a sharing layer read the last or last but one owning layer, by its type. It therefore computes
/// something else, or stops, for a model whose last two owning layers are of one type; nothing in the file can tell it.

namespace carat {

/// Reads a file; the tensors get their HuggingFace names.
Result<CheckpointContent> read_gemma4_gguf(const std::filesystem::path& path);

/// Writes one, see `write_checkpoint`. Every tensor's size fits. Refuses what GGUF cannot express: several head
/// widths for one attention type, a merge whose left piece has a space inside.
Result<uint64_t> write_gemma4_gguf(const std::filesystem::path& target, const ModelConfig& config,
                                   const Vocabulary& vocabulary, const std::vector<TensorSpec>& tensors,
                                   const TensorProducer& producer);

/// The parts of both. `tensors` is where `rope_freqs.weight` is looked for, which says which pairs rotate.
Result<ModelConfig> config_from_gguf(const GgufFields& fields, const std::vector<NamedTensor>& tensors);
Status add_config(const ModelConfig& config, GgufHeader& header);
Result<Vocabulary> vocabulary_from_gguf(const GgufFields& fields, const std::string& source);
Status add_vocabulary(const Vocabulary& vocabulary, GgufHeader& header);

inline constexpr const char* kGgufDigestKey = "carat.sha256";

inline constexpr const char* kRopeFactorsName = "rope_freqs.weight";

/// Divisors of the rotary frequencies in full layers, [full head width / 2]: 1 for the pairs that rotate, 1e30 for
/// the others. Empty for a model without full layers.
std::vector<float> rope_factors(const ModelConfig& config);

}  // namespace carat
