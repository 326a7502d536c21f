#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/compare.h"
#include "fit_report.h"

namespace carat {

/// What all models of an evaluation have in common.
struct EvalSetting {
  std::string text;  ///< the file
  std::vector<std::string> categories;
  int64_t tokens = 0;
  size_t documents = 0;
  int64_t positions = 0;  ///< of a window
  int64_t overlap = 0;
  LogitsOrigin reference;        ///< empty when there is none; the digest is known of saved logits
  std::string reference_logits;  ///< the file of its logits; empty when it ran beside the models
};

/// What was found out about one model.
struct ModelEvaluation {
  std::string model;   ///< its path
  std::string scheme;  ///< empty when it has none
  uint64_t bytes = 0;  ///< of its tensors
  TextComparison figures;
  double tokens_per_s = 0;
  std::vector<std::string> warnings;  ///< what to know before believing the figures
  std::optional<StaticFit> fit;       ///< when it was asked for
};

}  // namespace carat
