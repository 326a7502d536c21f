#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "lattice/scheme.h"

namespace carat {

/// What a conversion did.
struct Conversion {
  std::string scheme;  ///< what the new checkpoint says its weights lie on; empty when it does not say
  int64_t tensors = 0;
  uint64_t bytes = 0;          ///< written
  uint64_t moved_weights = 0;  ///< weights whose value changed, in any bit
};

/// Called after every piece; returns whether to go on.
using ConvertProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// Name of the built-in scheme that a checkpoint's weights lie on: the one that it records, or else the one that
/// gives every matrix, routers of experts aside, the very type in which it is stored. Empty when there is none.
std::string scheme_of(const Checkpoint& checkpoint);

/// Writes `input` as a checkpoint at `target` (see `write_checkpoint`), a few megabytes at a time.
///
/// With a `scheme` each weight moves to the nearest point of its lattice (post-training quantization), unless it
/// is stored on that lattice already. Without one (null) no weight moves: each tensor stays on the lattice of the
/// scheme that `input` records, or else of its own type; stored bytes go into a GGUF file as they are, and what a
/// folder has no type for becomes F32. A folder holds the gates and ups of all experts as one tensor, also where
/// `input` has two. A tensor that does not lie on the lattice its checkpoint records is refused then, and so is,
/// always, one with a value that is not finite.
Result<Conversion> convert_checkpoint(const Checkpoint& input, const std::filesystem::path& target,
                                      const Scheme* scheme, const ConvertProgress& progress);

}  // namespace carat
