#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace carat {

/// The version and the sections of the LiteRT-LM bundle at `path`, what is left out of the model too.
Result<nlohmann::ordered_json> bundle_json(const std::filesystem::path& path);

/// The same for people: a line for each section.
std::string bundle_table(const nlohmann::ordered_json& bundle);

}  // namespace carat
