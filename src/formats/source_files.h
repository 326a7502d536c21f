#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/result.h"
#include "formats/provenance.h"

namespace carat {

/// Called after every piece of a file; returns whether to go on.
using DigestProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// Name, size and digest of the files at `paths`, in that order. Fails when `progress`, if any, says so.
Result<std::vector<SourceFile>> digest_files(const std::vector<std::filesystem::path>& paths,
                                             const DigestProgress& progress);

/// The files that hold the tensors of the checkpoint at `path`: a GGUF file or its parts, the safetensors of a folder,
/// a bundle. Only headers are read, and refused as `Checkpoint::open` refuses them.
Result<std::vector<std::filesystem::path>> weight_files(const std::filesystem::path& path);

}  // namespace carat
