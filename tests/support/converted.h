#pragma once

#include <filesystem>

#include "formats/convert.h"

namespace carat {

/// A progress callback that never stops the work.
inline bool go_on(uint64_t, uint64_t) { return true; }

/// Opens the checkpoint at `input` and converts it.
inline Result<Conversion> convert(const std::filesystem::path& input, const std::filesystem::path& target,
                                  const ConvertOptions& options = {}) {
  CARAT_TRY(const Checkpoint checkpoint, Checkpoint::open(input));
  return convert_checkpoint(checkpoint, target, options, go_on);
}

}  // namespace carat
