#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "eval/sensitivity.h"

namespace CLI {
class App;
}

namespace carat {

/// What `carat eval` is asked about single tensors.
struct SensitivityOptions {
  bool wanted = false;
  std::string scheme = "q4_0";
  int64_t tokens = 2048;  ///< most of the text that is used
  uint64_t budget = 0;    ///< bytes of a mixed scheme; 0: none is wanted
  std::filesystem::path scheme_out;
};

/// Adds `--sensitivity`, `--scheme`, `--tokens`, `--budget` and `--scheme-out`; `options` outlive the parsing.
void add_sensitivity_options(CLI::App& command, SensitivityOptions& options);

/// What was found.
struct SensitivityFindings {
  std::string model;
  std::string scheme;
  std::string container;  ///< what its bytes are of: "gguf"
  int64_t tokens = 0;     ///< predictions of each run
  Sensitivity measured;
  uint64_t budget = 0;
  std::optional<MixedScheme> mix;  ///< when there is a budget and all was measured
  std::filesystem::path mix_file;  ///< empty when it is only shown
};

/// Refuses, before anything is measured, a scheme that would move no tensor and a budget that is too small. Returns the
/// bytes that measuring holds beside the model and the text; the fewer the better when memory is to be spared.
Result<uint64_t> prepare_sensitivity(const SensitivityOptions& options, const Checkpoint& checkpoint,
                                     bool spare_memory);

/// Says what it costs, measures with the first tokens of `text`, and writes the mixed scheme where there is to be a
/// file. Ctrl-C ends it with what was measured until then. `name` is the model's.
Result<SensitivityFindings> find_sensitivity(const SensitivityOptions& options, const std::string& name, Model& model,
                                             const EvalText& text, const WindowOptions& windows, ThreadPool& threads,
                                             bool spare_memory);

/// For people: a table of the tensors, and the mixed scheme.
std::string sensitivity_text(const SensitivityFindings& findings);

nlohmann::ordered_json to_json(const SensitivityFindings& findings);

}  // namespace carat
