#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"
#include "formats/check_values.h"
#include "model/attention.h"
#include "model/ffn.h"
#include "model/per_layer_embedding.h"

namespace carat {
namespace {

std::vector<float> frequencies_of(const ModelConfig& config, AttentionType type) {
  const auto layer = std::find_if(config.layers.begin(), config.layers.end(),
                                  [type](const LayerConfig& candidate) { return candidate.attention == type; });
  if (layer == config.layers.end()) return {};
  return rope_frequencies(config, *layer);
}

/// The rotations of a chunk are computed once for each attention type.
Status check_head_widths(const ModelConfig& config) {
  for (const LayerConfig& layer : config.layers) {
    for (const LayerConfig& other : config.layers) {
      if (layer.attention != other.attention || layer.head_width == other.head_width) continue;
      return refused("heads of " + std::to_string(layer.head_width) + " and of " + std::to_string(other.head_width) +
                     " values in layers of the same attention type: expected one width for all sliding layers and " +
                     "one for all full ones");
    }
  }
  return success();
}

void run_layer(const Pass& pass, size_t layer, Rows rows) {
  const int64_t D = pass.config.hidden;
  add_attention(pass, layer, rows);
  add_ffn(pass, layer, rows);
  if (pass.config.per_layer_width > 0) add_per_layer_embedding(pass, layer, rows);
  pass.ops.scale(pass.scratch.residual.data() + rows.first * D, rows.count * D,
                 pass.weights.layers[layer].layer_scalar);
}

}  // namespace

Result<Model> Model::load(const std::filesystem::path& path, Ops& ops) {
  CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  return create(std::move(checkpoint), ops);
}

Result<Model> Model::create(Checkpoint checkpoint, Ops& ops) {
  auto owned = std::make_shared<const Checkpoint>(std::move(checkpoint));
  CARAT_TRY_STATUS(check_head_widths(owned->config()));
  CARAT_TRY(ModelWeights weights, ModelWeights::bind(*owned));
  return Model(std::move(owned), std::move(weights), ops);
}

Model::Model(std::shared_ptr<const Checkpoint> checkpoint, ModelWeights weights, Ops& ops)
    : checkpoint_(std::move(checkpoint)),
      weights_(std::move(weights)),
      ops_(&ops),
      activations_(config()),
      sliding_frequencies_(frequencies_of(config(), AttentionType::kSliding)),
      full_frequencies_(frequencies_of(config(), AttentionType::kFull)),
      owning_layers_(static_cast<size_t>(config().layer_count() - config().shared_kv_layers())) {}

std::span<const float> Model::last_logits(std::span<const int32_t> ids, KvCache& cache) {
  CARAT_CHECK(!ids.empty(), "logits need a position");
  while (ids.size() > kChunkTokens) {
    run_layers(ids.first(kChunkTokens), kChunkTokens, cache);
    ids = ids.subspan(kChunkTokens);
  }
  const auto last = static_cast<int64_t>(ids.size()) - 1;
  run_layers(ids, last, cache);
  return head(last, 1);
}

std::span<const float> Model::all_logits(std::span<const int32_t> ids, KvCache& cache) {
  const auto T = static_cast<int64_t>(ids.size());
  CARAT_CHECK(T >= 1 && T <= logit_rows(), "as many ids as there are rows for logits");
  run_layers(ids, 0, cache);
  return head(0, T);
}

void Model::run_layers(std::span<const int32_t> ids, int64_t first_needed, KvCache& cache) {
  const auto T = static_cast<int64_t>(ids.size());
  const Pass pass{config(), weights_, *ops_, cache, activations_, cache.size()};
  cache.extend(T);
  prepare_inputs(pass, ids);
  for (size_t l = 0; l < owning_layers_; ++l) run_layer(pass, l, {0, T});
  if (first_needed == T) return;
  for (size_t l = owning_layers_; l < weights_.layers.size(); ++l) run_layer(pass, l, {first_needed, T - first_needed});
}

void Model::prepare_inputs(const Pass& pass, std::span<const int32_t> ids) {
  const auto T = static_cast<int64_t>(ids.size());
  const float embedding_scale = std::sqrt(static_cast<float>(config().hidden));
  ops_->gather(weights_.embed_tokens, ids, embedding_scale, activations_.residual.data());
  if (config().per_layer_width > 0) compute_per_layer_inputs(pass, ids);
  ops_->rope_table(sliding_frequencies_, pass.first_position, T, activations_.sliding_rotations.data());
  ops_->rope_table(full_frequencies_, pass.first_position, T, activations_.full_rotations.data());
}

std::span<const float> Model::head(int64_t first, int64_t count) {
  const int64_t D = config().hidden;
  const int64_t V = config().vocabulary;
  const float* residual = activations_.residual.data() + first * D;
  float* logits = activations_.logits.data();
  ops_->rms_norm(residual, weights_.final_norm.data(), count, D, config().rms_epsilon, activations_.normed.data());
  ops_->linear(weights_.embed_tokens, activations_.normed.data(), count, logits);
  if (config().softcap > 0.0f) ops_->softcap(logits, count * V, config().softcap);
  return {logits, static_cast<size_t>(count * V)};
}

Status Model::check_ids(std::span<const int32_t> ids) const {
  const auto outside =
      std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= config().vocabulary; });
  if (outside == ids.end()) return success();
  return wrong_usage("token id " + std::to_string(*outside) + " is not in the vocabulary: ids go from 0 to " +
                     std::to_string(config().vocabulary - 1));
}

Status Model::check_finite(std::span<const float> logits) const {
  if (std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); })) return success();
  for (const NamedTensor& tensor : checkpoint_->tensors()) {
    CARAT_TRY_STATUS(check_values(tensor, checkpoint_->path().string()));
  }
  return failed("the logits are not finite although all weights are: the model's values overflow float32");
}

}  // namespace carat
