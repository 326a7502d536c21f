#include "session/plan.h"

#include "model/activations.h"
#include "model/cache.h"
#include "model/weights.h"

namespace carat {

MemoryPlan plan_memory(const Checkpoint& checkpoint, int64_t context) {
  const ModelConfig& config = checkpoint.config();
  MemoryPlan plan;
  for (const NamedTensor& tensor : checkpoint.tensors()) plan.weights_mapped += tensor.view.data.size();
  plan.weights_decoded = static_cast<uint64_t>(decoded_weight_count(config)) * sizeof(float);
  plan.kv_cache = kv_cache_bytes(config, context);
  plan.activations = activation_bytes(config);
  return plan;
}

}  // namespace carat
