#include "model/weights.h"

#include <gtest/gtest.h>

#include <limits>

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
  }
  return count;
}

TEST(WeightsTest, BindsWhatEachLayerNeeds) {
  const Checkpoint checkpoint = open("sharing");
  const ModelConfig& config = checkpoint.config();
  const ModelWeights weights = ModelWeights::bind(checkpoint).value();
  ASSERT_EQ(weights.layers.size(), config.layers.size());
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const LayerWeights& layer = weights.layers[l];
    const LayerConfig& shape = config.layers[l];
    EXPECT_EQ(layer.q_proj.shape, (Shape{config.heads * shape.head_width, config.hidden}));
    EXPECT_EQ(layer.down_proj.shape, (Shape{config.hidden, shape.ffn_width}));
    EXPECT_EQ(layer.k_norm.empty(), !config.owns_kv(l));
    EXPECT_EQ(layer.post_per_layer_norm.size(), static_cast<size_t>(config.hidden));
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
      write_edited(golden_model("grouped").folder, folder, [&](const std::string& name, auto& values) {
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
