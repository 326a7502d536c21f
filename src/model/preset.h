#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/model_config.h"

namespace carat {

/// The exact shape of a model, by name: "opal" (our small model: the E-series structure in miniature) or "e2b"
/// (Gemma 4 E2B). Refuses an unknown name and lists the known ones.
Result<ModelConfig> preset_config(std::string_view name);

}  // namespace carat
