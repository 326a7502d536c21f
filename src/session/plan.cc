#include "session/plan.h"

#include "model/activations.h"
#include "model/weights.h"

namespace carat {

MemoryPlan plan_memory(const Checkpoint& checkpoint, int64_t context, const CacheOptions& options) {
  const ModelConfig& config = checkpoint.config();
  MemoryPlan plan;
  for (const NamedTensor& tensor : checkpoint.tensors()) plan.weights_mapped += tensor.view.data.size();
  const TensorView* table = checkpoint.find("model.embed_tokens_per_layer.weight");
  if (table != nullptr) plan.per_layer_table = table->data.size();
  plan.weights_decoded = static_cast<uint64_t>(decoded_weight_count(config)) * sizeof(float);
  plan.kv_cache = kv_cache_bytes(config, context, options);
  plan.activations = activation_bytes(config, options.batch);
  return plan;
}

}  // namespace carat
