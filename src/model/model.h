#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "model/activations.h"
#include "model/cache.h"
#include "model/forward.h"
#include "model/pass.h"
#include "model/token_rows.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace carat {

/// How a model is run.
struct ModelSettings {
  int64_t batch = kChunkTokens;   ///< see `Model::batch`; 1 to kLargestBatch
  bool input_quantizers = true;   ///< see `Quantizers`
  bool output_quantizers = true;  ///< the same
};

/// A Gemma 4 text decoder, of any of the five shapes: from token ids to logits.
///
///     CARAT_TRY(const Kernels* kernels, select_kernels());
///     Ops ops(*kernels, available_cores());
///     CARAT_TRY(Model model, Model::load("opal.gguf", ops));
///     CARAT_TRY(const CacheOptions kept, model.cache_options());
///     KvCache cache(model.config(), 4096, kept);
///     CARAT_TRY_STATUS(cache.reserve(ids.size()));
///     CARAT_TRY(const std::span<const float> logits, model.last_logits(ids, cache));   // [V]
///
/// A model has one set of scratch memory: it serves one call at a time. Results do not depend on the number of
/// threads, nor on how a text is divided over calls: one call for all ids gives the same bits as a call an id.
class Model {
 public:
  /// Opens the checkpoint at `path` (see Checkpoint::open). `ops` outlives the model; several models may use it.
  static Result<Model> load(const std::filesystem::path& path, Ops& ops, const ModelSettings& settings = {});

  /// A model of an open checkpoint. Refuses what `ModelWeights::bind` refuses, head widths that differ within one
  /// attention type, and a batch out of range.
  static Result<Model> create(Checkpoint checkpoint, Ops& ops, const ModelSettings& settings = {});

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const ModelConfig& config() const { return checkpoint_->config(); }
  const Vocabulary& vocabulary() const { return checkpoint_->vocabulary(); }
  /// They stay where they are until the model is moved or computes with another matrix.
  const ModelWeights& weights() const { return weights_; }

  /// From now on the model computes with `instead` where the checkpoint has a matrix of that name, of the same shape
  /// and of any type; as the checkpoint is when there is none. The memory of `instead` outlives its use. Costs the
  /// time and memory of the vectors alone; the matrices are not read.
  Status compute_with(const std::optional<NamedTensor>& instead);

  /// How a cache for this model keeps keys and values: as `type`, or, when none is given, as 8-bit codes with the
  /// trained scales where the model has them for all its layers, and in float32 where not. Refuses a type that does not
  /// fit.
  Result<CacheOptions> cache_options(std::optional<DType> type = std::nullopt) const;

  /// From now on `observer` watches every call, none when it is null. It outlives the calls that it watches.
  void set_observer(ActivationObserver* observer) { observer_ = observer; }

  /// Feeds `ids` at the positions that follow what `cache` holds: at least one, each in [0, V), with room reserved
  /// for all. Returns the logits [V] after the last one; they are valid until the model's next call. Earlier
  /// positions skip the layers that read keys and values of others: no later position needs their results. Fails when a
  /// row of the per-layer table cannot be read; `cache` then holds the positions before that batch.
  Result<std::span<const float>> last_logits(std::span<const int32_t> ids, KvCache& cache);

  /// The same for at most `logit_rows()` ids, with the logits after every one: [T, V]. The cache takes as many at once.
  Result<std::span<const float>> all_logits(std::span<const int32_t> ids, KvCache& cache);

  /// Most ids that `all_logits` takes: what 16 MiB of logits hold, at least 1, at most a batch.
  int64_t logit_rows() const { return activations_.logit_rows; }

  /// Most tokens that go through the layers at once. It changes speed and memory, no result.
  int64_t batch() const { return batch_; }

  /// Refuses ids outside the vocabulary and names the first.
  Status check_ids(std::span<const int32_t> ids) const;

  /// Fails when one of the logits of the last call is not finite. Says after which layer and at which position the
  /// first value was not finite in that call, and names the damaged tensor, if one is damaged.
  Status check_finite(std::span<const float> logits) const;

 private:
  Model(std::shared_ptr<const Checkpoint> checkpoint, ModelWeights weights, Ops& ops, const ModelSettings& settings);

  /// The rows of the per-layer table are read from where it lies now.
  void open_token_rows();

  /// Where the residual first had a value that is not finite.
  struct Fault {
    std::optional<size_t> layer;  // none: the embedding
    int64_t position;
  };

  /// Feeds one chunk and returns the logits [needed, V] after its last positions.
  Result<std::span<const float>> run_chunk(std::span<const int32_t> ids, int64_t needed, KvCache& cache);
  /// Remembers the first fault of a call among the residual rows, after `layer`.
  void note_fault(std::optional<size_t> layer, int64_t first_position, Rows rows);
  std::string origin_of_fault() const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  ModelWeights weights_;
  Ops* ops_;
  int64_t batch_;
  Quantizers quantizers_;
  Activations activations_;
  std::optional<TokenRows> token_rows_;  // of the per-layer table; when P > 0
  RopeFrequencies frequencies_;
  std::optional<Fault> fault_;  // of the last call
  ActivationObserver* observer_ = nullptr;
  size_t owning_layers_;  // layers before the first one from which on none owns keys and values
};

}  // namespace carat
