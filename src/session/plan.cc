#include "session/plan.h"

#include <algorithm>

#include "model/activations.h"
#include "model/token_rows.h"
#include "model/weights.h"
#include "session/sampler.h"

namespace carat {
namespace {

// Threads of the pool touch a few pages of their stacks.
constexpr uint64_t kStackBytes = uint64_t{64} << 10;

// Measured with as many pieces and merges as Gemma's: tests/memory/full_size_tokenizer.py, and `vocabulary` of
// `carat plan --json`.
constexpr uint64_t kBytesOfPiece = 73;

}  // namespace

uint64_t MemoryPlan::total() const {
  return weights_resident() + per_layer_rows + kv_cache.total() + activations + sampling + drafter + process.program +
         process.vocabulary;
}

MemoryPlan plan_memory(const ModelSizes& sizes, const ProcessBytes& process, int64_t context,
                       const CacheOptions& options) {
  const ModelConfig& config = sizes.config;
  MemoryPlan plan;
  plan.weights_mapped = sizes.weights;
  plan.per_layer_table = sizes.per_layer_table_bytes();
  if (plan.per_layer_table != 0) plan.per_layer_rows = TokenRows::bytes(sizes.per_layer_table, options.batch);
  plan.weights_decoded = static_cast<uint64_t>(decoded_weight_count(config)) * sizeof(float);
  plan.kv_cache = kv_cache_bytes(config, context, options);
  plan.activations = activation_bytes(config, options.batch);
  plan.sampling = Sampler::most_bytes(config.vocabulary) + static_cast<uint64_t>(context) * sizeof(int32_t);
  plan.left_on_disk = sizes.left_on_disk;
  plan.process = process;
  return plan;
}

uint64_t key_value_bytes_read(const ModelConfig& config, int64_t position, DType type) {
  // As if each layer had its own, in rings of a window: a layer reads its donor's when other layers have driven them
  // out of the processor's caches.
  ModelConfig all_own = config;
  for (size_t l = 0; l < all_own.layers.size(); ++l) all_own.layers[l].kv_layer = static_cast<int64_t>(l);
  return kv_cache_bytes(all_own, position, {.type = type, .batch = 1}).total();
}

uint64_t program_bytes(uint64_t held, int threads) { return held + static_cast<uint64_t>(threads) * kStackBytes; }

uint64_t typical_vocabulary_bytes(int64_t pieces) { return static_cast<uint64_t>(pieces) * kBytesOfPiece; }

}  // namespace carat
