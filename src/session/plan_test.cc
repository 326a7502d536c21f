#include "session/plan.h"

#include <gtest/gtest.h>

#include "lattice/lattice.h"
#include "model/activations.h"
#include "model/cache.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

TEST(PlanTest, SaysWhatIsAllocated) {
  for (const char* name : kGoldenModels) {
    const Checkpoint checkpoint = Checkpoint::open(golden_model(name).folder).value();
    for (const CacheOptions options : {CacheOptions{}, {DType::kF16, 9}}) {
      const MemoryPlan plan = plan_memory(checkpoint, 400, options);
      KvCache cache(checkpoint.config(), 400, options);
      ASSERT_TRUE(cache.reserve(400).ok());
      const uint64_t kv_cache = plan.kv_cache.sliding + plan.kv_cache.full + plan.kv_cache.rotations;
      EXPECT_EQ(kv_cache, cache.bytes()) << name;
      EXPECT_EQ(plan.activations, activation_bytes(checkpoint.config(), options.batch)) << name;
      EXPECT_GT(plan.weights_decoded, 0u) << name;
      EXPECT_EQ(plan.total(), plan.weights_mapped + plan.weights_decoded + kv_cache + plan.activations);
    }
  }
}

TEST(PlanTest, CountsTheBytesOfEveryTensor) {
  const Checkpoint checkpoint = Checkpoint::open(golden_model("e4b_f16").folder).value();
  uint64_t halves = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) halves += 2 * decode_tensor(tensor.view).size();
  EXPECT_EQ(plan_memory(checkpoint, 1).weights_mapped, halves);
}

TEST(PlanTest, RowsOfThePerLayerTableAreNotCountedAsResident) {
  const Checkpoint small = Checkpoint::open(golden_model("e2b_bf16").folder).value();
  const TensorView& table = *small.find("model.embed_tokens_per_layer.weight");
  const MemoryPlan plan = plan_memory(small, 400);
  EXPECT_EQ(plan.per_layer_table, table.data.size());
  EXPECT_EQ(plan.resident() + table.data.size(), plan.total());

  const Checkpoint large = Checkpoint::open(golden_model("31b_bf16").folder).value();
  EXPECT_EQ(plan_memory(large, 400).resident(), plan_memory(large, 400).total());
}

}  // namespace
}  // namespace carat
