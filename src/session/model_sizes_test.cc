#include "session/model_sizes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "formats/convert.h"
#include "formats/scheme_tensors.h"
#include "model/filler_vocabulary.h"
#include "model/mobile_scheme.h"
#include "model/preset.h"
#include "model/random_model.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

/// What `carat new` makes has the sizes that were planned without it.
void expect_sizes_of_file(const std::string& scheme_name, const std::string& ending) {
  RandomModel model;
  model.config = preset_config("opal").value();
  model.scheme = load_scheme(scheme_name, model.config).value();
  model.vocabulary = filler_vocabulary(model.config.vocabulary);
  const fs::path target = fs::temp_directory_path() / ("carat-sizes-" + std::to_string(::getpid()) + ending);
  ThreadPool threads(1);
  ASSERT_TRUE(write_random_model(target, model, threads, [](uint64_t, uint64_t) { return true; }).ok());
  {
    const Checkpoint checkpoint = Checkpoint::open(target).value();
    const ModelSizes found = sizes_of(checkpoint);
    const ModelSizes planned = sizes_of(model.config, model.scheme).value();
    EXPECT_EQ(found.weights, planned.weights) << scheme_name;
    EXPECT_EQ(found.per_layer_table_bytes(), planned.per_layer_table_bytes()) << scheme_name;
    EXPECT_EQ(found.read_for_token, planned.read_for_token) << scheme_name;
    EXPECT_EQ(found.scales.size(), planned.scales.size()) << scheme_name;
  }
  fs::remove_all(target);
}

TEST(ModelSizes, OfASchemeAreThoseOfItsFile) {
  for (const char* scheme : {"f32", "bf16", "q8_0", "q4_0"}) expect_sizes_of_file(scheme, ".gguf");
  expect_sizes_of_file("mobile", "");
}

TEST(ModelSizes, ExactScalesBesideBlocksAreLeftOnDisk) {
  const TemporaryFolder folder;
  const Checkpoint codes = Checkpoint::open(fs::path(CARAT_SOURCE_DIR) / "tests/golden/mobile/e2b_1").value();
  const auto go_on = [](uint64_t, uint64_t) { return true; };
  ASSERT_TRUE(convert_checkpoint(codes, folder / "plain.gguf", {.requantize = true}, go_on).ok());
  ASSERT_TRUE(convert_checkpoint(codes, folder / "exact.gguf", {.static_scales = true}, go_on).ok());
  const ModelSizes plain = sizes_of(Checkpoint::open(folder / "plain.gguf").value());
  const ModelSizes exact = sizes_of(Checkpoint::open(folder / "exact.gguf").value());
  EXPECT_EQ(exact.per_layer_table_bytes(), plain.per_layer_table_bytes());
  EXPECT_GT(exact.left_on_disk, plain.left_on_disk);
  // Static quantizers, four bytes each.
  EXPECT_LT(exact.weights - plain.weights, 400u);
}

TEST(ModelSizes, OfExpertsATokenReadsThoseThatItIsRoutedTo) {
  const ModelConfig config = preset_config("26b-a4b").value();
  const ModelSizes sizes = sizes_of(config, *built_in_scheme("bf16")).value();
  const auto experts = static_cast<uint64_t>(2 * 3 * config.layer_count() * config.hidden * config.expert_width);
  EXPECT_EQ(sizes.weights - sizes.read_for_token,
            experts * static_cast<uint64_t>(config.experts - config.experts_used));
}

TEST(ModelSizes, OfThePerLayerTableATokenReadsOneRow) {
  const ModelConfig config = preset_config("e2b").value();
  const ModelSizes sizes = sizes_of(config, *built_in_scheme("q4_0")).value();
  const uint64_t table = sizes.per_layer_table_bytes();
  EXPECT_EQ(table, uint64_t{262144} * 35 * 256 / 32 * 18);
  EXPECT_EQ(sizes.weights - sizes.read_for_token, table - table / 262144);
}

TEST(ModelSizes, TheMobileReleaseOfE2bIsAsLargeAsPublished) {
  const ModelConfig config = preset_config("e2b").value();
  const ModelSizes sizes = sizes_of(config, mobile_scheme(config).value()).value();
  // 4 bits for each of 262144 * 35 * 256 codes, and a float32 scale for each row and layer.
  EXPECT_EQ(sizes.per_layer_table_bytes(), uint64_t{262144} * 35 * (128 + 4));
  EXPECT_NEAR(static_cast<double>(sizes.weights - sizes.per_layer_table_bytes()), 797e6, 5e6);
  EXPECT_EQ(sizes.scales.size(), config.layers.size());
}

TEST(ModelSizes, RefusesBlocksThatDoNotFitTheRows) {
  ModelConfig config = preset_config("opal").value();
  config.hidden = 200;
  const auto sizes = sizes_of(config, *built_in_scheme("q4_0"));
  ASSERT_FALSE(sizes.ok());
  EXPECT_NE(sizes.error().message.find("rows of 200 values"), std::string::npos) << sizes.error().message;
}

}  // namespace
}  // namespace carat
