#include <gtest/gtest.h>

#include <cmath>

#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0};

struct NamedShape {
  const char* name;
  TinyShape shape;
};

const NamedShape kShapes[] = {
    {"sharing", {}},
    {"value_is_key", {.pattern = "SSFSSF", .shared = 0, .value_is_key = true, .full_kv_heads = 1}},
    {"value_is_key_and_sharing", {.pattern = "SFSFSF", .shared = 2, .value_is_key = true}},
    {"experts", {.pattern = "SF", .shared = 0, .value_is_key = true, .experts = 4}},
    {"full_layers_only", {.pattern = "FF", .shared = 0}},
};

std::vector<float> last_logits(Model& model, std::span<const int32_t> ids, DType type) {
  KvCache cache(model.config(), static_cast<int64_t>(ids.size()), {.type = type, .batch = model.batch()});
  EXPECT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
  const std::span<const float> logits = model.last_logits(ids, cache).value();
  return {logits.begin(), logits.end()};
}

class CachedModel : public testing::TestWithParam<NamedShape> {
 protected:
  void SetUp() override { ASSERT_TRUE(TinyModel(GetParam().shape, 1).write(path_, "f32").ok()); }

  Model load(Ops& ops, int64_t batch) const { return Model::load(path_, ops, {.batch = batch}).value(); }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "model.gguf";
};

INSTANTIATE_TEST_SUITE_P(Shapes, CachedModel, testing::ValuesIn(kShapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

TEST_P(CachedModel, BatchAndThreadsChangeNoBit) {
  Ops one(*all_kernels().front(), 1), three(*all_kernels().front(), 3);
  const int64_t W = GetParam().shape.window;
  Model whole = load(one, 300);
  const std::vector<int32_t> ids = random_ids(whole.config().vocabulary, whole.vocabulary().bos, 250, 2);
  for (const DType type : kTypes) {
    const std::vector<float> expected = last_logits(whole, ids, type);
    for (const int64_t batch : {int64_t{1}, int64_t{7}, W - 1, W, W + 1, int64_t{100}, kChunkTokens}) {
      Model model = load(batch % 2 == 0 ? three : one, batch);
      EXPECT_EQ(last_logits(model, ids, type), expected) << "batch " << batch << ", " << dtype_name(type);
    }
  }
}

TEST_P(CachedModel, DecodingGivesTheBitsOfPrefill) {
  Ops ops(*all_kernels().front(), 2);
  Model model = load(ops, 32);
  const std::vector<int32_t> ids = random_ids(model.config().vocabulary, model.vocabulary().bos, 150, 3);
  for (const DType type : kTypes) {
    KvCache cache(model.config(), 150, {.type = type, .batch = 32});
    ASSERT_TRUE(cache.reserve(150).ok());
    model.last_logits(std::span(ids).first(100), cache).value();
    for (size_t i = 100; i < 149; ++i) model.last_logits(std::span(ids).subspan(i, 1), cache).value();
    const std::span<const float> decoded = model.last_logits(std::span(ids).subspan(149), cache).value();
    EXPECT_EQ(std::vector<float>(decoded.begin(), decoded.end()), last_logits(model, ids, type)) << dtype_name(type);
  }
}

TEST(CachedModelTest, RefusesABatchOutOfRange) {
  TemporaryFolder folder;
  ASSERT_TRUE(TinyModel({.pattern = "SF", .shared = 0}).write(folder / "m.gguf", "f32").ok());
  Ops ops(*all_kernels().front(), 1);
  for (const int64_t batch : {int64_t{-1}, int64_t{0}, kLargestBatch + 1}) {
    const Result<Model> model = Model::load(folder / "m.gguf", ops, {.batch = batch});
    ASSERT_FALSE(model.ok());
    EXPECT_EQ(model.error().kind, ErrorKind::kUsage);
    EXPECT_NE(model.error().message.find(std::to_string(batch)), std::string::npos) << model.error().message;
  }
}

/// A model whose full layers take their values from their keys, and the same model with a value projection that equals
/// the key projection: the first makes its keys from its values, the second keeps both.
class TwinModels {
 public:
  explicit TwinModels(uint32_t seed) {
    const TinyShape shape = {.pattern = "SSFSSF",
                             .shared = 0,
                             .head_width = 64,
                             .full_head_width = 128,
                             .value_is_key = true,
                             .full_kv_heads = 1};
    TinyModel made(shape, seed);
    CARAT_CHECK(made.write(folder_ / "made", "f32").ok(), "a file");
    TinyShape kept_shape = shape;
    kept_shape.value_is_key = false;
    TinyModel kept(kept_shape, seed);
    CARAT_CHECK(kept.write(folder_ / "twin", "f32").ok(), "a file");
    const Checkpoint source = Checkpoint::open(folder_ / "made").value();
    const auto edit = [&source](const std::string& name, std::vector<float>& values) {
      const size_t at = name.find("v_proj");
      if (at == std::string::npos || source.find(name) != nullptr) return;
      std::string key_name = name;
      values = decode_tensor(*source.find(key_name.replace(at, 6, "k_proj")));
    };
    CARAT_CHECK(write_edited(folder_ / "twin", folder_ / "kept", edit).ok(), "a file");
  }

  Model made(Ops& ops) const { return Model::load(folder_ / "made", ops).value(); }
  Model kept(Ops& ops) const { return Model::load(folder_ / "kept", ops).value(); }

 private:
  TemporaryFolder folder_;
};

double rms_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST(TwinModelsTest, KeysMadeFromValuesAreAsGoodAsKeysKept) {
  Ops ops(*all_kernels().front(), 2);
  double made_error[std::size(kTypes)] = {}, kept_error[std::size(kTypes)] = {};
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    const TwinModels twins(seed);
    Model made = twins.made(ops), kept = twins.kept(ops);
    const std::vector<int32_t> ids = random_ids(made.config().vocabulary, made.vocabulary().bos, 200, seed);
    const std::vector<float> exact = last_logits(kept, ids, DType::kF32);
    EXPECT_EQ(last_logits(made, ids, DType::kF32), exact) << "the same operations";
    for (size_t i = 0; i < std::size(kTypes); ++i) {
      made_error[i] += rms_difference(last_logits(made, ids, kTypes[i]), exact);
      kept_error[i] += rms_difference(last_logits(kept, ids, kTypes[i]), exact);
    }
  }
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    EXPECT_LE(made_error[i], 1.25 * kept_error[i]) << dtype_name(kTypes[i]);
  }
}

}  // namespace
}  // namespace carat
