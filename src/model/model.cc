#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"
#include "model/check_weights.h"

namespace carat {
namespace {

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

}  // namespace

Result<Model> Model::load(const std::filesystem::path& path, Ops& ops, const ModelSettings& settings) {
  CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  return create(std::move(checkpoint), ops, settings);
}

Result<Model> Model::create(Checkpoint checkpoint, Ops& ops, const ModelSettings& settings) {
  if (settings.batch < 1 || settings.batch > kLargestBatch) {
    return wrong_usage("batch: expected 1 to " + std::to_string(kLargestBatch) + " tokens at once, found " +
                       std::to_string(settings.batch));
  }
  auto owned = std::make_shared<const Checkpoint>(std::move(checkpoint));
  CARAT_TRY_STATUS(check_head_widths(owned->config()));
  CARAT_TRY(ModelWeights weights, ModelWeights::bind(*owned, {settings.input_quantizers, settings.output_quantizers}));
  return Model(std::move(owned), std::move(weights), ops, settings);
}

Model::Model(std::shared_ptr<const Checkpoint> checkpoint, ModelWeights weights, Ops& ops,
             const ModelSettings& settings)
    : checkpoint_(std::move(checkpoint)),
      weights_(std::move(weights)),
      ops_(&ops),
      batch_(settings.batch),
      quantizers_{settings.input_quantizers, settings.output_quantizers},
      activations_(config(), settings.batch),
      frequencies_(config()),
      owning_layers_(static_cast<size_t>(config().layer_count() - config().shared_kv_layers())) {
  open_token_rows();
}

Status Model::compute_with(const std::optional<NamedTensor>& instead) {
  if (instead) {
    const TensorView* own = checkpoint_->find(instead->name);
    CARAT_CHECK(own != nullptr && own->shape == instead->view.shape, "a matrix of the model");
  }
  CARAT_TRY(weights_, ModelWeights::bind(*checkpoint_, quantizers_, instead));
  open_token_rows();
  return success();
}

void Model::open_token_rows() {
  if (config().per_layer_width == 0) return;
  std::vector<TableColumns> table;
  for (const TensorView& view : weights_.embed_tokens_per_layer) {
    table.push_back({view, checkpoint_->place_of(view.data), checkpoint_->place_of(view.scales.data)});
  }
  token_rows_.emplace(table, batch_);
}

Result<CacheOptions> Model::cache_options(std::optional<DType> type) const {
  CacheOptions options = {.batch = batch_, .scales = cache_scales_of(*checkpoint_)};
  options.type = type ? *type : default_cache_type(config(), options.scales);
  CARAT_TRY_STATUS(check_cache_type(options.type, config(), options.scales));
  return options;
}

Result<std::span<const float>> Model::last_logits(std::span<const int32_t> ids, KvCache& cache) {
  CARAT_CHECK(!ids.empty(), "logits need a position");
  fault_.reset();
  const int64_t batch = std::min(batch_, cache.options().batch);
  while (static_cast<int64_t>(ids.size()) > batch) {
    CARAT_TRY_STATUS(run_chunk(ids.first(static_cast<size_t>(batch)), 0, cache));
    ids = ids.subspan(static_cast<size_t>(batch));
  }
  return run_chunk(ids, 1, cache);
}

Result<std::span<const float>> Model::all_logits(std::span<const int32_t> ids, KvCache& cache) {
  const auto T = static_cast<int64_t>(ids.size());
  CARAT_CHECK(T >= 1 && T <= logit_rows(), "as many ids as there are rows for logits");
  fault_.reset();
  return run_chunk(ids, T, cache);
}

Result<std::span<const float>> Model::run_chunk(std::span<const int32_t> ids, int64_t needed, KvCache& cache) {
  const auto T = static_cast<int64_t>(ids.size());
  if (token_rows_) CARAT_TRY_STATUS(token_rows_->fetch(ids, ops_->pool()));
  const Pass pass{config(),     weights_,     *ops_,     cache,
                  activations_, cache.size(), observer_, token_rows_ ? &*token_rows_ : nullptr};
  const Rows all = {0, T};
  const Rows last = {T - needed, needed};
  cache.extend(T);
  begin_chunk(pass, frequencies_, ids);
  note_fault(std::nullopt, pass.first_position, all);
  for (size_t l = 0; l < weights_.layers.size(); ++l) {
    const Rows rows = l < owning_layers_ ? all : last;
    if (rows.count == 0) return std::span<const float>();
    run_layer(pass, l, rows);
    note_fault(l, pass.first_position, rows);
  }
  return needed > 0 ? run_head(pass, last) : std::span<const float>();
}

void Model::note_fault(std::optional<size_t> layer, int64_t first_position, Rows rows) {
  if (fault_) return;
  const int64_t D = config().hidden;
  const int64_t row = ops_->first_not_finite(activations_.residual.data() + rows.first * D, rows.count, D);
  if (row < rows.count) fault_ = {layer, first_position + rows.first + row};
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
  const std::string found = "the logits are not finite: " + origin_of_fault() + "; ";
  const bool in_layer = fault_ && fault_->layer;
  const Status weights =
      check_weights(*checkpoint_, in_layer ? "model.layers." + std::to_string(*fault_->layer) + "." : "model.embed");
  if (!weights.ok()) return refused(found + weights.error().message);
  return failed(found + "all weights are finite, so that the model's values overflow float32");
}

std::string Model::origin_of_fault() const {
  if (!fault_) return "the head made them of finite values";
  const std::string place = fault_->layer ? "layer " + std::to_string(*fault_->layer) : "the embedding";
  return place + " gave the first value that is not, at position " + std::to_string(fault_->position);
}

}  // namespace carat
