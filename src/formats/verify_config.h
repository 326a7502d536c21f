#pragma once

#include <string>
#include <vector>

#include "formats/model_config.h"
#include "formats/vocabulary.h"

namespace carat {

/// What of two models' shapes is not the same, one sentence each: "layers: 12 and 35". How many positions a model was
/// made for and what scheme it records are no part of it.
std::vector<std::string> config_contradictions(const ModelConfig& a, const ModelConfig& b);

/// The same of the pieces of two vocabularies, whose ids are rows of the embedding.
std::vector<std::string> vocabulary_contradictions(const Vocabulary& a, const Vocabulary& b);

}  // namespace carat
