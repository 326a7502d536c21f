#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace carat {

/// What text a model's static scales are found with.
struct CalibrationOptions {
  std::filesystem::path text;  ///< empty: none
  int64_t tokens = 4096;       ///< most that are used, from the beginning
};

/// Adds `--calibration` and `--calibration-tokens` to a subcommand; `options` outlive the parsing.
void add_calibration_options(CLI::App& command, CalibrationOptions& options);

/// Static scales for the model at `path` (see `calibrate`), its progress on the terminal. Refuses a model that has
/// static quantizers.
Result<std::map<std::string, float>> calibrate_with_text(const std::filesystem::path& path,
                                                         const CalibrationOptions& options);

}  // namespace carat
