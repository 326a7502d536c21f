#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"

namespace carat {

/// Text that a model writes for its own distillation, when there is no data set (Liu et al., "LLM-QAT: Data-Free
/// Quantization Aware Training for Large Language Models", arXiv 2305.17888).
struct SelfTextOptions {
  int64_t tokens = 0;    ///< to write, all sequences together
  int64_t sequence = 0;  ///< tokens in one sequence
  uint64_t seed = 0;     ///< sequence i is sampled with a seed made from this one and i
  int threads = 1;       ///< sequences written at the same time
};

/// Samples sequences from the model's own distribution (temperature 1), each after BOS alone, and returns them one
/// after the other without BOS. They do not depend on the number of threads. `progress` takes the tokens written
/// so far, from one thread at a time. Returns a kInterrupted error soon after `stop` becomes true.
Result<std::vector<int32_t>> write_self_text(const Checkpoint& checkpoint, const SelfTextOptions& options,
                                             const std::function<void(int64_t)>& progress,
                                             const std::atomic<bool>& stop);

}  // namespace carat
