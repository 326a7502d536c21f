#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "formats/safetensors.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "tests/support/golden_bytes.h"
#include "tests/support/mlx_model.h"
#include "tests/support/same_config.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(CARAT_SOURCE_DIR) / "tests/golden/mlx";

void copy_checkpoint(const fs::path& source, const fs::path& target) {
  const Checkpoint checkpoint = Checkpoint::open(source).value();
  const auto written = write_checkpoint(target, Container::kMlx, checkpoint.config(), checkpoint.vocabulary(),
                                        specs_of(checkpoint), copies_of(checkpoint));
  ASSERT_TRUE(written.ok()) << written.error().message;
}

void expect_same_tensors(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const auto& [name, view] : a.tensors()) {
    const TensorView* found = b.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->dtype, view.dtype) << name;
    EXPECT_EQ(found->shape, view.shape) << name;
    EXPECT_TRUE(std::ranges::equal(found->data, view.data)) << name;
    EXPECT_EQ(found->scales.dtype, view.scales.dtype) << name;
    EXPECT_EQ(found->scales.groups, view.scales.groups) << name;
    EXPECT_TRUE(std::ranges::equal(found->scales.data, view.scales.data)) << name;
  }
}

void expect_same_files(const fs::path& a, const fs::path& b) {
  for (const fs::directory_entry& entry : fs::directory_iterator(a)) {
    const fs::path name = entry.path().filename();
    ASSERT_TRUE(fs::exists(b / name)) << name;
    EXPECT_TRUE(bytes_of(a / name) == bytes_of(b / name)) << name;
  }
}

class MlxGolden : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Folders, MlxGolden, testing::Values("dense", "experts"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(MlxGolden, HoldsTheIntegersAndValuesThatWereDrawn) {
  const fs::path folder = kGolden / GetParam();
  const auto expected = nlohmann::json::parse(bytes_of(folder / "codes.json"))["weights"];
  const auto opened = Checkpoint::open(folder);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->container(), Container::kMlx);
  size_t weights = 0, below_zero = 0;
  for (const auto& [name, view] : opened->tensors()) {
    if (!is_code_type(view.dtype)) continue;
    ++weights;
    std::vector<int8_t> codes(static_cast<size_t>(*element_count(view.shape)));
    unpack_codes(view.dtype, view.data, codes);
    EXPECT_EQ(sha256_of(codes), expected.at(name)["codes"]) << name;
    std::vector<float> values = decode_tensor(view);
    for (float& value : values) value += 0.0f;  // -0 becomes 0
    EXPECT_EQ(sha256_of(values), expected.at(name)["values"]) << name;
    for (int64_t row = 0; row < view.rows(); ++row) below_zero += view.scales.at(row, 0) < 0 ? 1 : 0;
  }
  EXPECT_EQ(weights, expected.size());
  EXPECT_GT(below_zero, 100u);
}

TEST_P(MlxGolden, CodesAreNotCopied) {
  const Checkpoint checkpoint = Checkpoint::open(kGolden / GetParam()).value();
  for (const auto& [name, view] : checkpoint.tensors()) {
    EXPECT_TRUE(checkpoint.place_of(view.data)) << name;
    if (!is_code_type(view.dtype)) continue;
    EXPECT_TRUE(checkpoint.place_of(view.scales.data)) << name;
  }
}

TEST_P(MlxGolden, WrittenAgainHoldsTheSameTensors) {
  const TemporaryFolder folder;
  copy_checkpoint(kGolden / GetParam(), folder / "a");
  copy_checkpoint(folder / "a", folder / "b");
  expect_same_files(folder / "a", folder / "b");
  const Checkpoint original = Checkpoint::open(kGolden / GetParam()).value();
  const Checkpoint again = Checkpoint::open(folder / "a").value();
  EXPECT_EQ(again.container(), Container::kMlx);
  expect_same_config(original.config(), again.config());
  expect_same_tensors(original, again);
}

TEST(MlxFolder, RoundTripsChangeNoByte) {
  const TinyShape shapes[] = {
      {.pattern = "SFSF", .shared = 2},
      {.pattern = "SSF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .full_kv_heads = 1, .experts = 4}};
  for (uint32_t seed = 0; seed < 3; ++seed) {
    for (const TinyShape& shape : shapes) {
      const TemporaryFolder folder;
      const MlxModel model(shape, seed == 0 ? DType::kF32 : DType::kBF16, seed);
      const auto written = model.write(folder / "a");
      ASSERT_TRUE(written.ok()) << written.error().message;
      copy_checkpoint(folder / "a", folder / "b");
      expect_same_files(folder / "a", folder / "b");
      expect_same_config(Checkpoint::open(folder / "b").value().config(), model.config);
    }
  }
}

TEST(MlxFolder, TheConfigurationSaysItTwice) {
  const TemporaryFolder folder;
  ASSERT_TRUE(MlxModel({.pattern = "SF", .shared = 0}, DType::kBF16, 1).write(folder / "a").ok());
  const auto config = nlohmann::json::parse(bytes_of(folder / "a" / "config.json"));
  EXPECT_EQ(config["quantization"]["group_size"], 32);
  EXPECT_EQ(config["quantization"], config["quantization_config"]);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["model_type"], "gemma4_text");
  EXPECT_NE(bytes_of(folder / "a" / "model.safetensors").find(R"("__metadata__":{"format":"mlx")"), std::string::npos);
}

}  // namespace
}  // namespace carat
