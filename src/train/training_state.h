#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/adamw.h"

namespace carat {

/// What a run needs to go on where it stopped: the latent weights with both running means of the optimizer, and
/// the step. The data order is a function of the seed and the step, so no generator state is stored.
///
/// On disk: `FOLDER/training/state-STEP.safetensors` with tensors `weight.NAME`, `mean.NAME`, `square.NAME`, and
/// `FOLDER/training/latest.json`, which names the step and the settings. The JSON file is replaced last, so
/// that a crash leaves the earlier state in force; then older states are removed.

/// Writes the state after `step` updates. `settings` describes the run in one JSON object.
Status save_training_state(const std::filesystem::path& folder, const std::vector<TrainedTensor>& tensors, int64_t step,
                           const std::string& settings);

/// Reads the latest state into `tensors`, whose names and shapes it must have, and returns its step.
/// Refuses a state that was made with other `settings`, naming the first one that differs.
Result<int64_t> load_training_state(const std::filesystem::path& folder, std::vector<TrainedTensor>& tensors,
                                    const std::string& settings);

}  // namespace carat
