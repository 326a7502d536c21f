#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/source_files.h"

/// Whether the bytes of a checkpoint are still those that Carat wrote.
///
/// A GGUF file has the entry `carat.sha256`: the SHA-256 of the whole file with the 64 digits of this entry written as
/// '0'. A folder has in config.json `carat_files`: {"model.safetensors": {"bytes": 123, "sha256": "..."}, ...} of every
/// other file that was written with it.

namespace carat {

/// One thing that is not as it was written.
struct IntegrityFault {
  std::string file;
  std::string text;  ///< what was found and expected: "is cut short: 1024 of 2048 bytes are there"
};

/// Whether the files of a checkpoint are those that Carat wrote.
struct Integrity {
  bool recorded = false;  ///< whether it says what they should be
  uint64_t bytes = 0;     ///< that were read
  std::vector<IntegrityFault> faults;
};

/// Reads all files of the checkpoint at `path` and compares them with what it records. Works on files that
/// `Checkpoint::open` refuses because they are cut short or damaged; what is no checkpoint at all is refused. A file
/// without digests has a fault only where it is shorter than its header says.
Result<Integrity> check_integrity(const std::filesystem::path& path, const DigestProgress& progress);

/// Whether the checkpoint at `path` says what its files should be. Reads headers alone.
Result<bool> records_digests(const std::filesystem::path& path);

}  // namespace carat
