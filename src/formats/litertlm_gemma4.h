#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint_content.h"
#include "formats/litertlm.h"

namespace carat {

/// Reads the text model of a bundle as Google publishes Gemma 4 E2B and E4B for LiteRT-LM. Its towers and its draft
/// model are left out.
Result<CheckpointContent> read_litertlm(const std::filesystem::path& path);

/// The parts of it. The shape of a model, from the shapes of its tensors, see `tensors_of_litertlm`. Heads of two
/// widths make two attention types, the wider of which is full; layers without key projection share those of an earlier
/// one. What a bundle does not say is as in E2B and E4B, which have it in common: a window of 512, a context of 131072,
/// a soft-cap of 30, and the constants of norms and rotations. Refuses what is no such structure.
Result<ModelConfig> config_of_litertlm(const std::vector<NamedTensor>& tensors, const std::string& source);

/// The tokenizer, with stop tokens, sampling defaults and chat template of the bundle's metadata (LlmMetadata).
Result<Vocabulary> vocabulary_of_litertlm(const LitertlmContent& bundle, const std::string& source);

}  // namespace carat
