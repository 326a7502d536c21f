#pragma once

#include <cstdint>
#include <optional>

#include "formats/model_config.h"

namespace carat {

/// The one value that all layers of an attention type have, or nothing when they differ; `fallback` when there is no
/// such layer. For containers that store one value a type.
std::optional<int64_t> common_value(const ModelConfig& config, AttentionType type, int64_t LayerConfig::*member,
                                    int64_t fallback);

}  // namespace carat
