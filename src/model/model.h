#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "model/activations.h"
#include "model/cache.h"
#include "model/pass.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace carat {

/// A Gemma 4 text decoder (dense, E-series): from token ids to logits.
///
///     CARAT_TRY(const Kernels* kernels, select_kernels());
///     Ops ops(*kernels, available_cores());
///     CARAT_TRY(Model model, Model::load("opal.gguf", ops));
///     KvCache cache(model.config(), 4096);
///     CARAT_TRY_STATUS(cache.reserve(ids.size()));
///     std::span<const float> logits = model.last_logits(ids, cache);   // [V]
///
/// A model has one set of scratch memory: it serves one call at a time. Results do not depend on the number of
/// threads, nor on how a text is divided over calls: one call for all ids gives the same bits as a call an id.
class Model {
 public:
  /// Opens the checkpoint at `path` (see Checkpoint::open). `ops` outlives the model; several models may use it.
  static Result<Model> load(const std::filesystem::path& path, Ops& ops);

  /// A model of an open checkpoint. Refuses norm weights that are not finite, and head widths that differ within
  /// one attention type.
  static Result<Model> create(Checkpoint checkpoint, Ops& ops);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const ModelConfig& config() const { return checkpoint_->config(); }
  const Vocabulary& vocabulary() const { return checkpoint_->vocabulary(); }

  /// Feeds `ids` at the positions that follow what `cache` holds: at least one, each in [0, V), with room reserved
  /// for all. Returns the logits [V] after the last one; they are valid until the model's next call. Earlier
  /// positions skip the layers that read keys and values of others: no later position needs their results.
  std::span<const float> last_logits(std::span<const int32_t> ids, KvCache& cache);

  /// The same for at most `logit_rows()` ids, with the logits after every one: [T, V].
  std::span<const float> all_logits(std::span<const int32_t> ids, KvCache& cache);

  /// Most ids that `all_logits` takes: what 16 MiB of logits hold, at least 1, at most kChunkTokens.
  int64_t logit_rows() const { return activations_.logit_rows; }

  /// Refuses ids outside the vocabulary and names the first.
  Status check_ids(std::span<const int32_t> ids) const;

  /// Fails when a logit is not finite, and names the damaged tensor.
  Status check_finite(std::span<const float> logits) const;

 private:
  Model(std::shared_ptr<const Checkpoint> checkpoint, ModelWeights weights, Ops& ops);

  /// Feeds one chunk; the residual rows [first_needed, T) come out of all layers.
  void run_layers(std::span<const int32_t> ids, int64_t first_needed, KvCache& cache);
  void prepare_inputs(const Pass& pass, std::span<const int32_t> ids);
  /// Logits of the residual rows [first, first + count), in [count, V).
  std::span<const float> head(int64_t first, int64_t count);

  std::shared_ptr<const Checkpoint> checkpoint_;
  ModelWeights weights_;
  Ops* ops_;
  Activations activations_;
  std::vector<float> sliding_frequencies_;  // [d / 2] of the sliding layers
  std::vector<float> full_frequencies_;     // [d / 2] of the full layers
  size_t owning_layers_;                    // layers before the first one from which on none owns keys and values
};

}  // namespace carat
