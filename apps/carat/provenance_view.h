#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "formats/provenance.h"

namespace carat {

/// One line for each step, oldest first, each behind `indent` spaces but the first: "1. carat 0.1.0 train: q4_0,
/// seed 0, steps 300; from model.safetensors (0123456789ab)". Empty without steps.
std::string provenance_lines(const Provenance& provenance, size_t indent);

/// Reads all files of the checkpoint at `path`, showing progress, and refuses them when they are not those that were
/// written. Returns what was compared, as JSON.
Result<nlohmann::ordered_json> check_files(const std::filesystem::path& path);

}  // namespace carat
