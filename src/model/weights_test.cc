#include "model/weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "lattice/lattice.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

Checkpoint open(const std::string& name) {
  Result<Checkpoint> checkpoint = Checkpoint::open(golden_model(name).folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  return std::move(checkpoint).value();
}

size_t decoded_values(const ModelWeights& weights) {
  size_t count = weights.final_norm.size() + weights.per_layer_norm.size();
  for (const LayerWeights& layer : weights.layers) {
    count += layer.input_norm.size() + layer.q_norm.size() + layer.k_norm.size() + layer.post_attention_norm.size();
    count += layer.pre_feedforward_norm.size() + layer.post_feedforward_norm.size() + layer.post_per_layer_norm.size();
    count += layer.moe.router_scale.size() + layer.moe.expert_scale.size() + layer.moe.post_dense_norm.size();
    count += layer.moe.pre_experts_norm.size() + layer.moe.post_experts_norm.size();
  }
  return count;
}

TEST(WeightsTest, BindsWhatEachLayerNeeds) {
  const Checkpoint checkpoint = open("e2b_bf16");
  const ModelConfig& config = checkpoint.config();
  const ModelWeights weights = ModelWeights::bind(checkpoint).value();
  ASSERT_EQ(weights.layers.size(), config.layers.size());
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const LayerWeights& layer = weights.layers[l];
    const LayerConfig& shape = config.layers[l];
    EXPECT_EQ(layer.q_proj.weight.shape, (Shape{config.heads * shape.head_width, config.hidden}));
    EXPECT_EQ(layer.down_proj.weight.shape, (Shape{config.hidden, shape.ffn_width}));
    EXPECT_EQ(layer.k_norm.empty(), !config.owns_kv(l));
    EXPECT_EQ(layer.post_per_layer_norm.size(), static_cast<size_t>(config.hidden));
    EXPECT_TRUE(layer.moe.experts.empty());
  }
}

TEST(WeightsTest, LayersWhoseValuesAreTheirKeysHaveNoValueProjection) {
  const Checkpoint checkpoint = open("12b_bf16");
  const ModelWeights weights = ModelWeights::bind(checkpoint).value();
  for (size_t l = 0; l < weights.layers.size(); ++l) {
    const bool full = checkpoint.config().layers[l].attention == AttentionType::kFull;
    EXPECT_EQ(weights.layers[l].v_proj.weight.data.empty(), full) << l;
    EXPECT_FALSE(weights.layers[l].k_proj.weight.data.empty()) << l;
  }
}

TEST(WeightsTest, AnExpertIsItsPartOfTheStack) {
  const Checkpoint checkpoint = open("26b_f32");
  const ModelConfig& config = checkpoint.config();
  const ModelWeights weights = ModelWeights::bind(checkpoint).value();
  const std::vector<float> stack = decode_tensor(*checkpoint.find("model.layers.1.experts.gate_up_proj"));
  const std::vector<float> down_stack = decode_tensor(*checkpoint.find("model.layers.1.experts.down_proj"));
  const int64_t size = config.expert_width * config.hidden;
  const std::vector<ExpertWeights>& experts = weights.layers[1].moe.experts;
  ASSERT_EQ(experts.size(), static_cast<size_t>(config.experts));
  for (int64_t e = 0; e < config.experts; ++e) {
    const auto begin = stack.begin() + 2 * e * size;
    EXPECT_EQ(experts[e].gate.shape, (Shape{config.expert_width, config.hidden}));
    EXPECT_EQ(decode_tensor(experts[e].gate), std::vector<float>(begin, begin + size)) << e;
    EXPECT_EQ(decode_tensor(experts[e].up), std::vector<float>(begin + size, begin + 2 * size)) << e;
    const auto down = down_stack.begin() + e * size;
    EXPECT_EQ(decode_tensor(experts[e].down), std::vector<float>(down, down + size)) << e;
  }
}

TEST(WeightsTest, CountsTheDecodedValues) {
  for (const char* name : kGoldenModels) {
    const Checkpoint checkpoint = open(name);
    EXPECT_EQ(static_cast<size_t>(decoded_weight_count(checkpoint.config())),
              decoded_values(ModelWeights::bind(checkpoint).value()))
        << name;
  }
}

TEST(WeightsTest, RefusesANormThatIsNotFinite) {
  const std::string broken = "model.layers.2.self_attn.q_norm.weight";
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "broken-norm";
  const Status written =
      write_edited(golden_model("e4b_f16").folder, folder, [&](const std::string& name, auto& values) {
        if (name == broken) values.back() = std::numeric_limits<float>::infinity();
      });
  ASSERT_TRUE(written.ok()) << written.error().message;
  const Checkpoint checkpoint = Checkpoint::open(folder).value();
  const Result<ModelWeights> weights = ModelWeights::bind(checkpoint);
  ASSERT_FALSE(weights.ok());
  EXPECT_EQ(weights.error().kind, ErrorKind::kRefused);
  EXPECT_NE(weights.error().message.find(broken), std::string::npos) << weights.error().message;
}

}  // namespace
}  // namespace carat
