#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "lattice/scheme.h"
#include "train/corpus.h"

namespace carat {

/// How a run goes. Tokens per update: batch * accumulate * sequence.
struct TrainOptions {
  std::filesystem::path output;  ///< folder of the checkpoint; its subfolder `training` holds the state to resume
  Scheme scheme;                 ///< the lattice of every tensor during training and in the checkpoint
  int64_t steps = 1000;
  int64_t warmup = 50;          ///< steps over which the learning rate rises
  int64_t batch = 8;            ///< sequences in one forward pass
  int64_t accumulate = 1;       ///< forward passes in one update
  int64_t sequence = 256;       ///< tokens in a sequence
  double learning_rate = 1e-3;  ///< at its peak
  double weight_decay = 0.0;    ///< of matrices
  uint64_t seed = 0;            ///< of fresh weights and of the order of the data
  int64_t save_every = 0;       ///< steps between saved states; 0: only at the end
  bool resume = false;          ///< go on from the state in `output`
  std::string device = "cpu";   ///< as torch names it: "cpu", "cuda", "cuda:1"
  bool bfloat16 = false;        ///< matrix products in bfloat16; latent weights and all else stay float32
  int threads = 1;
  ProvenanceStep provenance;  ///< tool, sources and further settings that the checkpoint records beside those above
};

/// One update, as the log has it.
struct StepReport {
  int64_t step = 0;          ///< counts from 1
  double loss = 0;           ///< nats per token: cross-entropy, or the divergence when distilling
  std::optional<double> kl;  ///< forward KL to the teacher, when distilling
  double learning_rate = 0;
  double tokens_per_s = 0;
  uint64_t peak_rss_bytes = 0;
};
using StepObserver = std::function<void(const StepReport&)>;

/// Trains a model and leaves its checkpoint, a HuggingFace folder, in `options.output`. Its provenance is that of
/// `config` and a step for this run.
///
/// With `start`, training begins at its weights and follows it: the loss is the forward KL divergence from the
/// frozen `start` to the model under training, whose weights lie on the scheme's lattices in every forward pass
/// (quantization-aware training with distillation). Without, weights are fresh and the loss is next-token
/// cross-entropy.
///
/// Refuses models with experts.
///
/// When `stop` becomes true the run saves its state and checkpoint after the current step and returns an
/// `kInterrupted` error that says how to resume. A loss that is not finite ends the run with an error; nothing
/// is saved then.
/// The same seed, options and thread count give the same losses, also across an interruption.
Status train(const ModelConfig& config, const Vocabulary& vocabulary, const Checkpoint* start, Corpus& corpus,
             const TrainOptions& options, const StepObserver& observer, const std::atomic<bool>& stop);

}  // namespace carat
