#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/model_config.h"

namespace carat {

/// The exact shape of a model, by name: "opal" (our small model: the E-series structure in miniature), or one of the
/// published Gemma 4 text models, "e2b", "e4b", "12b", "26b-a4b" and "31b". Refuses an unknown name and lists the known
/// ones.
Result<ModelConfig> preset_config(std::string_view name);

/// "opal, e2b, e4b, 12b, 26b-a4b, 31b", for messages.
std::string preset_names();

}  // namespace carat
