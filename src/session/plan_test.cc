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
    const MemoryPlan plan = plan_memory(checkpoint, 400);
    KvCache cache(checkpoint.config(), 400);
    ASSERT_TRUE(cache.reserve(400).ok());
    EXPECT_EQ(plan.kv_cache, cache.bytes()) << name;
    EXPECT_EQ(plan.activations, activation_bytes(checkpoint.config())) << name;
    EXPECT_GT(plan.weights_decoded, 0u) << name;
    EXPECT_EQ(plan.total(), plan.weights_mapped + plan.weights_decoded + plan.kv_cache + plan.activations);
  }
}

TEST(PlanTest, CountsTheBytesOfEveryTensor) {
  const Checkpoint checkpoint = Checkpoint::open(golden_model("grouped").folder).value();
  uint64_t halves = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) halves += 2 * decode_tensor(tensor.view).size();
  EXPECT_EQ(plan_memory(checkpoint, 1).weights_mapped, halves);
}

}  // namespace
}  // namespace carat
