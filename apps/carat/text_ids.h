#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "formats/vocabulary.h"

namespace carat {

/// The ids of a text file, without BOS. Refuses a text that is empty.
Result<std::vector<int32_t>> read_ids(const std::filesystem::path& path, const Vocabulary& vocabulary);

}  // namespace carat
