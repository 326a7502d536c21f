#pragma once

#include <filesystem>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "train/gemma_torch.h"

namespace carat {

/// Writes the weights that the module's forward pass uses (its latent weights snapped by its scheme) as a
/// checkpoint, folder or GGUF by the target's name. What is read back is those weights, bit for bit.
/// `provenance` are the steps that led to it. Returns the bytes written.
Result<uint64_t> export_checkpoint(const std::filesystem::path& target, const GemmaTorchImpl& module,
                                   const Vocabulary& vocabulary, Provenance provenance);

}  // namespace carat
