#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model_config.h"

namespace carat {

/// A text model as Google released it.
struct PublishedModel {
  std::string_view name;    ///< "Gemma 4 E2B"
  std::string_view preset;  ///< its shape, see `preset_config`
  int64_t parameters;       ///< that the release stores, keys and values that nothing uses among them
};

std::span<const PublishedModel> published_models();

/// What a shape has in common with the published model of as many layers of the same width.
struct Likeness {
  const PublishedModel* model = nullptr;  ///< null when there is none
  /// Where the shape differs from that model's: "vocabulary 4096 instead of 262144". Empty for the very shape.
  std::vector<std::string> differences;
};

Likeness likeness_of(const ModelConfig& config);

}  // namespace carat
