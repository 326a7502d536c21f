#include "eval/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "eval/cache_statistics.h"
#include "formats/scheme_tensors.h"
#include "kernels/select.h"
#include "model/mobile_scheme.h"
#include "model/random_model.h"
#include "model/random_ranges.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

bool keep_going(int64_t, int64_t) { return true; }

/// Wide enough for sums to have the deviations that follow from many terms.
const TinyShape kShape = {.hidden = 256, .head_width = 64, .full_head_width = 128, .ffn_width = 512};

RandomModel random_model(const char* scheme) {
  const TinyModel tiny(kShape);
  return {.config = tiny.config, .vocabulary = tiny.vocabulary, .scheme = *built_in_scheme(scheme), .seed = 3};
}

class CalibrateTest : public ::testing::Test {
 protected:
  Model written(const RandomModel& model, const ModelSettings& settings = {}) {
    const std::filesystem::path folder = folder_ / model.scheme.name;
    EXPECT_TRUE(write_random_model(folder, model, threads_, [](uint64_t, uint64_t) { return true; }).ok());
    Result<Model> loaded = Model::load(folder, ops_, settings);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return std::move(loaded).value();
  }

  EvalText text(const Model& model, size_t count) const {
    return one_document(random_ids(model.config().vocabulary, 9, count, 1));
  }

  TemporaryFolder folder_;
  ThreadPool threads_{2};
  Ops ops_{*all_kernels().front(), 2};
};

TEST_F(CalibrateTest, GivesEveryStaticScaleAndSharesThoseOfOneInput) {
  Model model = written(random_model("f32"));
  const auto scales = calibrate(model, text(model, 60), {.positions = 32}, keep_going).value();
  for (const TensorSpec& spec : static_scales(model.config())) {
    if (spec.name.starts_with("model.per_layer_model_projection")) continue;
    ASSERT_TRUE(scales.contains(spec.name)) << spec.name;
    EXPECT_GT(scales.at(spec.name), 0.0f) << spec.name;
  }
  const std::string layer = "model.layers.1.";
  const auto input = [&](const std::string& module) { return scales.at(layer + module + std::string(kInputScale)); };
  EXPECT_EQ(input("self_attn.q_proj"), input("self_attn.k_proj"));
  EXPECT_EQ(input("self_attn.q_proj"), input("self_attn.v_proj"));
  EXPECT_EQ(input("mlp.gate_proj"), input("mlp.up_proj"));
  EXPECT_NE(input("mlp.gate_proj"), input("mlp.down_proj"));
}

TEST_F(CalibrateTest, IsTheSameOnceMoreAndDoesNotWatchOn) {
  Model model = written(random_model("f32"));
  const EvalText words = text(model, 40);
  const auto scales = calibrate(model, words, {.positions = 32}, keep_going).value();
  EXPECT_EQ(calibrate(model, words, {.positions = 32}, keep_going).value(), scales);
  KvCache cache(model.config(), 64, {.batch = model.batch()});
  ASSERT_TRUE(cache.reserve(8).ok());
  EXPECT_TRUE(model.last_logits(std::span(words.documents.front().ids).first(8), cache).ok());
}

TEST_F(CalibrateTest, StopsWhenAsked) {
  Model model = written(random_model("f32"));
  const auto stopped = calibrate(model, text(model, 40), {.positions = 32}, [](int64_t, int64_t) { return false; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
}

/// The ranges that random models are given without looking, beside those that looking finds.
TEST_F(CalibrateTest, RandomModelsHaveScalesOfTheRightSize) {
  Model model = written(random_model("f32"));
  const auto found = calibrate(model, text(model, 200), {.positions = 100}, keep_going).value();
  for (const auto& [name, scale] : random_static_scales(model.config())) {
    if (!found.contains(name)) continue;
    EXPECT_GT(scale / found.at(name), 0.4f) << name;
    EXPECT_LT(scale / found.at(name), 4.0f) << name;
  }
}

TEST_F(CalibrateTest, RandomMobileModelsFitTheirScales) {
  RandomModel random = random_model("f32");
  random.scheme = mobile_scheme(random.config).value();
  Model model = written(random);
  CacheStatistics statistics = CacheStatistics::create(model).value();
  model.set_observer(&statistics);
  Model* const models[] = {&model};
  const auto ignore = [](const Predictions&) { return success(); };
  ASSERT_TRUE(visit_predictions(models, text(model, 200), {.positions = 100}, keep_going, ignore).ok());
  EXPECT_EQ(statistics.cache().size(), 8u);
  for (const CacheFit& fit : statistics.cache()) {
    EXPECT_TRUE(fit.fits()) << fit.layer << (fit.keys ? " keys " : " values ") << fit.clipped << " " << fit.bits;
  }
  EXPECT_EQ(statistics.inputs().size(), 4u * 2 + 6 * 7);
  for (const InputFit& fit : statistics.inputs()) {
    EXPECT_LT(fit.clipped, 0.01) << fit.module;
    EXPECT_GE(fit.bits, 5) << fit.module;
  }
}

/// A sixteenth of the range, and sixteen times as much: what the verdict is for.
TEST(CacheFit, AScaleSixteenTimesOffDoesNotFit) {
  Random random(1);
  std::vector<float> values(20'000);
  for (float& value : values) value = random.normal();
  const auto fit_of = [&](float scale) {
    CodeUse use;
    use.add(values, scale);
    return CacheFit{0, true, scale, use.clipped(), use.bits()};
  };
  EXPECT_TRUE(fit_of(4.5f / 127).fits());
  EXPECT_LT(fit_of(16 * 4.5f / 127).bits, 5);
  EXPECT_FALSE(fit_of(16 * 4.5f / 127).fits());
  EXPECT_GT(fit_of(4.5f / 127 / 16).clipped, 0.5);
  EXPECT_FALSE(fit_of(4.5f / 127 / 16).fits());
}

}  // namespace
}  // namespace carat
