#include "model/check_weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class CheckWeightsTest : public ::testing::Test {
 protected:
  /// A checkpoint with NaN in two matrices and, if wanted, in a vector.
  Checkpoint damaged(const char* file, const std::string& vector = "") {
    const auto damage = [&](const std::string& name, std::vector<float>& values) {
      const bool matrix = name == "model.layers.0.mlp.up_proj.weight" || name == "model.layers.1.mlp.down_proj.weight";
      if (matrix || name == vector) values.back() = kNan;
    };
    EXPECT_TRUE(write_edited(golden_model("31b_f32").folder, folder_ / file, damage).ok());
    return Checkpoint::open(folder_ / file).value();
  }

  static void expect_named(const Status& status, const char* name) {
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find(name), std::string::npos) << status.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(CheckWeightsTest, LooksAtTheSuspectedFirst) {
  const Checkpoint checkpoint = damaged("folder");
  expect_named(check_weights(checkpoint, "model.layers.1."), "model.layers.1.mlp.down_proj.weight");
  expect_named(check_weights(checkpoint, "model.layers.0."), "model.layers.0.mlp.up_proj.weight");
  expect_named(check_weights(checkpoint, "model.embed"), "model.layers.0.mlp.up_proj.weight");
}

TEST_F(CheckWeightsTest, NamesTensorsAsTheFileDoes) {
  expect_named(check_weights(damaged("model.gguf"), "model.layers.1."), "blk.1.ffn_down.weight");
  expect_named(check_vectors(damaged("vector.gguf", "model.layers.2.input_layernorm.weight")),
               "blk.2.attn_norm.weight");
}

TEST_F(CheckWeightsTest, FiniteWeightsPass) {
  EXPECT_TRUE(check_vectors(damaged("folder")).ok());
  EXPECT_TRUE(check_weights(Checkpoint::open(golden_model("31b_f32").folder).value(), "model.").ok());
}

}  // namespace
}  // namespace carat
