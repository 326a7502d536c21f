#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/comparison.h"
#include "eval/sensitivity.h"

namespace carat {

/// The figures of one model over one part of the text; `category` is empty for the whole.
struct ReportSlice {
  std::string category;
  Comparison figures;
};

struct ReportModel {
  std::string name;
  std::string scheme;
  uint64_t bytes = 0;                 ///< of its tensors
  std::vector<ReportSlice> slices;    ///< the whole first
  std::vector<std::string> warnings;  ///< what to know before believing the figures
};

/// What `carat eval` found out.
struct EvalReport {
  std::string tool;       ///< "carat 0.1.0"
  std::string text;       ///< name of the text
  std::string windows;    ///< how it was divided, in words
  std::string reference;  ///< name of the reference; empty when there is none
  std::vector<ReportModel> models;
  std::vector<TensorSensitivity> sensitivity;  ///< of the first model; empty when not measured
};

/// A self-contained page: tables, and plots as SVG (a histogram of the KL divergences; quality against bytes; error of
/// each tensor against its sensitivity). Names are escaped; nothing is loaded from elsewhere.
std::string html_report(const EvalReport& report);

}  // namespace carat
