#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "base/cpu.h"
#include "formats/convert.h"
#include "formats/verify.h"
#include "lattice/scheme.h"
#include "tests/support/lattice_rules.h"

/// Checkpoints of the five structures on the lattices of five rules: 25 models of more than four million weights each,
/// a hundred million in all.

namespace carat {
namespace {

struct Structure {
  std::string_view name;
  TinyShape shape;
};

const Structure kStructures[] = {
    {"e2b",
     {.pattern = "SSSSFSSF",
      .shared = 3,
      .hidden = 256,
      .heads = 4,
      .kv_heads = 1,
      .head_width = 64,
      .full_head_width = 128,
      .ffn_width = 512,
      .per_layer_width = 64}},
    {"e4b",
     {.pattern = "SSSSFSSF",
      .shared = 2,
      .hidden = 256,
      .heads = 4,
      .kv_heads = 2,
      .head_width = 64,
      .full_head_width = 128,
      .ffn_width = 640,
      .double_wide = false,
      .per_layer_width = 64}},
    {"12b",
     {.pattern = "SSSSFSSF",
      .shared = 0,
      .hidden = 256,
      .heads = 4,
      .kv_heads = 2,
      .head_width = 64,
      .full_head_width = 128,
      .ffn_width = 640,
      .double_wide = false,
      .per_layer_width = 0,
      .value_is_key = true,
      .full_kv_heads = 1}},
    {"26b",
     {.pattern = "SSSSSF",
      .shared = 0,
      .hidden = 256,
      .heads = 4,
      .kv_heads = 2,
      .head_width = 64,
      .full_head_width = 128,
      .ffn_width = 256,
      .double_wide = false,
      .per_layer_width = 0,
      .value_is_key = true,
      .full_kv_heads = 1,
      .experts = 8,
      .expert_width = 96}},
    {"31b",
     {.pattern = "SSSSSF",
      .shared = 0,
      .hidden = 320,
      .heads = 4,
      .kv_heads = 4,
      .head_width = 64,
      .full_head_width = 128,
      .ffn_width = 640,
      .double_wide = false,
      .per_layer_width = 0,
      .value_is_key = true,
      .full_kv_heads = 1}},
};

/// Weights of the tensors that the scheme puts on Q4_0.
uint64_t weights_on_lattice(const ModelConfig& config) {
  uint64_t weights = 0;
  for (const TensorSpec& spec : expected_tensors(config)) {
    if (built_in_scheme("q4_0")->lattice_of(spec.name) == DType::kQ4_0) {
      weights += static_cast<uint64_t>(*element_count(spec.shape));
    }
  }
  return weights;
}

bool go_on(uint64_t, uint64_t) { return true; }

class RecoveredCheckpoints : public testing::TestWithParam<std::tuple<Structure, ScaleRule>> {};

TEST_P(RecoveredCheckpoints, EveryBlockBecomesABlockOfGgufThatHoldsTheSameWeights) {
  const auto& [structure, rule] = GetParam();
  const TinyModel model(structure.shape, 7);
  const uint64_t weights = weights_on_lattice(model.config);
  ASSERT_GE(weights, 4'000'000u);
  const TemporaryFolder folder;
  write_on_lattice(folder / "bf16", model, rule).value();

  const Checkpoint source = Checkpoint::open(folder / "bf16").value();
  const int threads = available_cores();
  const ConvertOptions options = {.scheme = built_in_scheme("q4_0"), .threads = threads};
  const Conversion conversion = convert_checkpoint(source, folder / "q4_0.gguf", options, go_on).value();
  EXPECT_EQ(conversion.recovered_groups, weights / 32);
  EXPECT_EQ(conversion.rounded_groups, 0u);
  EXPECT_EQ(conversion.unfit_scales, 0u);
  EXPECT_EQ(conversion.moved_weights, 0u);

  const Checkpoint made = Checkpoint::open(folder / "q4_0.gguf").value();
  const CheckpointComparison comparison = compare_checkpoints(source, made, threads, go_on).value();
  EXPECT_TRUE(comparison.same());
  for (const TensorComparison& tensor : comparison.tensors) EXPECT_EQ(tensor.different, 0u) << tensor.name;
}

std::string name_of(const testing::TestParamInfo<RecoveredCheckpoints::ParamType>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::string(std::get<1>(info.param).name);
}

INSTANTIATE_TEST_SUITE_P(AllRules, RecoveredCheckpoints,
                         testing::Combine(testing::ValuesIn(kStructures), testing::ValuesIn(kScaleRules)), name_of);

}  // namespace
}  // namespace carat
