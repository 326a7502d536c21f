#include "session/plan.h"

#include <gtest/gtest.h>

#include "lattice/lattice.h"
#include "model/activations.h"
#include "model/preset.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

constexpr ProcessBytes kProcess = {.program = 1000, .vocabulary = 200};

TEST(Plan, SaysWhatIsAllocated) {
  for (const char* name : kGoldenModels) {
    const Checkpoint checkpoint = Checkpoint::open(golden_model(name).folder).value();
    for (const CacheOptions& options : {CacheOptions{}, CacheOptions{.type = DType::kF16, .batch = 9}}) {
      const MemoryPlan plan = plan_memory(sizes_of(checkpoint), kProcess, 400, options);
      KvCache cache(checkpoint.config(), 400, options);
      ASSERT_TRUE(cache.reserve(400).ok());
      EXPECT_EQ(plan.kv_cache.total(), cache.bytes()) << name;
      EXPECT_EQ(plan.activations, activation_bytes(checkpoint.config(), options.batch)) << name;
      EXPECT_GT(plan.weights_decoded, 0u) << name;
      EXPECT_EQ(plan.total(), plan.weights_resident() + plan.per_layer_rows + plan.kv_cache.total() + plan.activations +
                                  plan.sampling + 1200);
    }
  }
}

TEST(Plan, CountsTheBytesOfEveryTensor) {
  const Checkpoint checkpoint = Checkpoint::open(golden_model("e4b_f16").folder).value();
  uint64_t halves = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) halves += 2 * decode_tensor(tensor.view).size();
  EXPECT_EQ(sizes_of(checkpoint).weights, halves);
}

TEST(Plan, ThePerLayerTableStaysOnDiskButForAFewRows) {
  const Checkpoint small = Checkpoint::open(golden_model("e2b_bf16").folder).value();
  const TensorView& table = *small.find("model.embed_tokens_per_layer.weight");
  const MemoryPlan plan = plan_memory(sizes_of(small), kProcess, 400, {});
  EXPECT_EQ(plan.per_layer_table, table.data.size());
  EXPECT_EQ(plan.weights_resident() + table.data.size(), plan.weights_mapped + plan.weights_decoded);
  EXPECT_GT(plan.per_layer_rows, 0u);

  const Checkpoint large = Checkpoint::open(golden_model("31b_bf16").folder).value();
  EXPECT_EQ(plan_memory(sizes_of(large), kProcess, 400, {}).per_layer_rows, 0u);
}

TEST(Plan, AFloatCacheOfAPresetIsThatOfTheTables) {
  const ModelConfig e2b = preset_config("e2b").value();
  // 15 owners of keys and values: 3 full ones of width 512, 12 sliding ones of width 256 with rings of 512 + 127 rows.
  const uint64_t expected = 4 * 2 * (4096 * 3 * 512 + (512 + 127) * 12 * 256);
  const ModelSizes sizes = sizes_of(e2b, *built_in_scheme("q4_0")).value();
  EXPECT_EQ(plan_memory(sizes, {}, 4096, {}).kv_cache.total(), expected);
}

TEST(Plan, ATokenReadsTheKeysAndValuesOfEveryLayer) {
  ModelConfig config = preset_config("opal").value();
  // 8 sliding layers of width 32 that see 64 positions, 4 full ones of width 64.
  EXPECT_EQ(key_value_bytes_read(config, 500, DType::kF32), 4u * 2 * (8 * 64 * 32 + 4 * 500 * 64));
}

}  // namespace
}  // namespace carat
