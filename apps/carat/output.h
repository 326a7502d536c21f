#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace carat {

/// Writes to standard output at once, not when a buffer is full.
Status write_output(std::string_view text);

/// One line on standard error, for the person who looks on.
void write_note(const std::string& line);

/// One JSON object on standard output, in one line.
Status write_output_json(const nlohmann::ordered_json& object);

}  // namespace carat
