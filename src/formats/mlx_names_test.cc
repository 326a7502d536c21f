#include "formats/mlx_names.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(MlxNames, AreThoseOfCaratForExperts) {
  EXPECT_EQ(mlx_module("model.layers.3.mlp.up_proj"), "model.layers.3.mlp.up_proj");
  EXPECT_EQ(mlx_module("model.layers.3.experts.down_proj"), "model.layers.3.experts.switch_glu.down_proj");
  EXPECT_EQ(module_of_mlx("model.layers.3.experts.switch_glu.down_proj"), "model.layers.3.experts.down_proj");
  EXPECT_EQ(module_of_mlx("model.layers.3.experts.down_proj"), "model.layers.3.experts.down_proj");
}

TEST(MlxNames, OfACompositeModelLoseItsPart) {
  EXPECT_EQ(module_of_mlx("language_model.model.norm"), "model.norm");
  EXPECT_EQ(module_of_mlx("language_model.lm_head"), "lm_head");
  EXPECT_EQ(module_of_mlx("model.language_model.norm"), "model.norm");
  EXPECT_EQ(module_of_mlx("language_model.model.layers.0.experts.switch_glu.up_proj"),
            "model.layers.0.experts.up_proj");
  EXPECT_EQ(module_of_mlx("vision_tower.language_model.norm"), "vision_tower.language_model.norm");
}

TEST(MlxNames, ATensorIsItsModulesWeight) {
  EXPECT_EQ(module_of_weight("model.norm.weight"), "model.norm");
  EXPECT_EQ(module_of_weight("model.layers.0.experts.gate_proj"), "model.layers.0.experts.gate_proj");
  EXPECT_EQ(weight_of_module("model.norm"), "model.norm.weight");
  EXPECT_EQ(weight_of_module("model.layers.0.experts.gate_proj"), "model.layers.0.experts.gate_proj");
}

}  // namespace
}  // namespace carat
