#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/compare.h"
#include "eval/mixed_scheme.h"
#include "eval/running_mean.h"
#include "formats/checkpoint.h"
#include "lattice/scheme.h"
#include "model/model.h"

namespace carat {

/// What quantizing one tensor alone does to a model.
struct TensorSensitivity {
  std::string tensor;
  std::string stored;         ///< type that the checkpoint has it in: "BF16"
  std::string lattice;        ///< the one that it was put on: "Q4_0", "I4", "I4/32" for groups of 32
  DType dtype = DType::kF32;  ///< the same for programs, with the columns that share a scale of codes (0: a whole row)
  int64_t group = 0;
  uint64_t bytes_before = 0;  ///< as stored
  uint64_t bytes_after = 0;   ///< on the lattice
  double relative_error = 0;  ///< root of sum (w' - w)^2 / sum w^2
  Estimate mean_kld;          ///< of the model with this tensor quantized from the model as it is, in nats
};

/// A tensor of a checkpoint and a lattice to try on it.
struct SensitivityTrial {
  const NamedTensor* tensor;
  DType lattice;
  int64_t group;  ///< of codes, as in `SchemeRule`
  bool wider;     ///< not the scheme's lattice but one with more bits
};

/// The matrices that `scheme` moves to another lattice than F32, in the order of the checkpoint, each whose rows the
/// lattice fits. Left out are those that are stored on it and the parts of a bundle's per-layer table.
///
/// With `wider` they come once more behind these: those of blocks on Q8_0, those of codes on I8 with the same groups,
/// where the scheme has fewer bits.
std::vector<SensitivityTrial> sensitivity_trials(const Checkpoint& checkpoint, const Scheme& scheme, bool wider);

/// Bytes of the largest tensor that a trial makes.
uint64_t largest_trial_bytes(std::span<const SensitivityTrial> trials);

/// "Q4_0", "I4", "I4/32".
std::string lattice_text(DType lattice, int64_t group);

/// What is written for a scheme without integer codes: a GGUF file; otherwise a folder of codes. Bytes of a lattice are
/// those that it takes there, codes with F32 scales.
Container container_of(const Scheme& scheme);

/// What the trials that were made have shown.
struct Sensitivity {
  std::vector<TensorSensitivity> ranked;  ///< on the scheme's lattices, the largest divergence first
  std::vector<TensorSensitivity> wider;   ///< of the wider trials, likewise
  size_t left_out = 0;                    ///< trials that were not made, because the user asked to stop
};

/// Runs `model` over the text of `task` as it is, then with one tensor replaced after the other. Of the weights only
/// that tensor is in memory twice; at most `memory` bytes of logits are. Static quantizers stay those of the
/// checkpoint. The progress counts predictions of all runs. A tensor that is on the lattice already, as
/// `QuantizedTensor::moved` tells, has a divergence of 0 without a run.
///
/// `model` is as it was at the end, unless an error says that its checkpoint cannot be read. The result does not depend
/// on the number of threads.
Result<Sensitivity> measure_sensitivity(Model& model, const Scheme& scheme, std::span<const SensitivityTrial> trials,
                                        const EvalTask& task, uint64_t memory);

/// What `recommend_scheme` chooses from.
struct MixChoices {
  std::vector<TensorOptions> tensors;  ///< every matrix: as it is, and what was measured
  uint64_t fixed_bytes = 0;            ///< of the vectors, which stay F32
};

/// What the trials would give if no tensor mattered: all that is known before they are made.
Sensitivity before_trials(const Scheme& scheme, std::span<const SensitivityTrial> trials);

/// For a mix in the container of `scheme`. Where a matrix is stored in a type that no scheme can name, "as it is" is
/// F32.
MixChoices mix_choices(const Checkpoint& checkpoint, const Scheme& scheme, const Sensitivity& measured);

}  // namespace carat
