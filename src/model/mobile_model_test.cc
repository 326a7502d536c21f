#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"

// Models in the mobile format against what transformers answers, and against themselves.
//
// Codes make a model discontinuous: where a value lies next to a half step, another last bit gives another code, and
// all that follows moves. Linear layers alone are therefore compared for equality. Whole models are compared position
// by position with what transformers gives in float32 and in float64: most positions have the codes of one of the two,
// and then its logits as in any other model. The others are held within a multiple of what lies between the two.

namespace carat {
namespace {

/// The largest that transformers' logits move in any of the models: one other code, and what follows.
constexpr double kEnvelope = 0.0686;
constexpr double kEnvelopeFactor = 2;
constexpr double kSameCodes = 2e-5;
/// Positions with the same codes, of those of all models.
constexpr double kLeastSameShare = 0.95;

std::vector<float> all_logits(Model& model, std::span<const int32_t> ids, DType type, size_t piece) {
  KvCache cache(model.config(), static_cast<int64_t>(ids.size()), model.cache_options(type).value());
  EXPECT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
  std::vector<float> all;
  for (; !ids.empty(); ids = ids.subspan(std::min(piece, ids.size()))) {
    const std::span<const float> logits = model.all_logits(ids.first(std::min(piece, ids.size())), cache).value();
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST(MobileModelTest, TheEnvelopeIsThatOfTransformers) {
  double largest = 0;
  for (const char* name : kMobileModels) {
    const GoldenModel single = mobile_model(name), twice = mobile_model(name, "logits_f64.npy");
    for (size_t i = 0; i < single.prompts.size(); ++i) {
      largest = std::max(largest, largest_difference(single.prompts[i].logits, twice.prompts[i].logits));
    }
  }
  EXPECT_NEAR(largest, kEnvelope, 1e-4);
}

TEST(MobileModelTest, GivesTheLogitsOfTransformers) {
  for (const Kernels* kernels : all_kernels()) {
    Ops ops(*kernels, 2);
    int64_t positions = 0, same = 0;
    double largest = 0, largest_same = 0;
    for (const char* name : kMobileModels) {
      const GoldenModel golden = mobile_model(name), twice = mobile_model(name, "logits_f64.npy");
      Model model = Model::load(golden.folder, ops).value();
      const auto V = static_cast<size_t>(model.config().vocabulary);
      for (size_t i = 0; i < golden.prompts.size(); ++i) {
        const GoldenPrompt& prompt = golden.prompts[i];
        const std::vector<float> logits = all_logits(model, prompt.ids, DType::kF32, prompt.ids.size());
        for (size_t t = 0; t < prompt.ids.size(); ++t) {
          const auto found = std::span(logits).subspan(t * V, V);
          const double difference =
              std::min(largest_difference(found, std::span(prompt.logits).subspan(t * V, V)),
                       largest_difference(found, std::span(twice.prompts[i].logits).subspan(t * V, V)));
          const bool same_codes = difference < kSameCodes;
          positions += 1;
          same += same_codes ? 1 : 0;
          largest = std::max(largest, difference);
          if (same_codes) largest_same = std::max(largest_same, difference);
        }
      }
    }
    EXPECT_LT(largest, kEnvelopeFactor * kEnvelope) << kernels->name;
    EXPECT_GE(static_cast<double>(same), kLeastSameShare * static_cast<double>(positions)) << kernels->name;
    std::cout << kernels->name << ": " << same << " of " << positions << " positions have the same codes, there within "
              << largest_same << ", elsewhere within " << largest << "\n";
  }
}

class MobileModel : public testing::TestWithParam<const char*> {
 protected:
  const GoldenModel golden_ = mobile_model(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Golden, MobileModel, testing::ValuesIn(kMobileModels),
                         [](const auto& model) { return std::string(model.param); });

nlohmann::json probes_of(const std::filesystem::path& folder) {
  std::ifstream file(folder / "probes.json");
  return nlohmann::json::parse(file);
}

TEST_P(MobileModel, LinearLayersGiveTheCodesOfTransformers) {
  const Checkpoint checkpoint = Checkpoint::open(golden_.folder).value();
  const ModelWeights weights = ModelWeights::bind(checkpoint).value();
  std::map<std::string, LinearWeights> layers;
  for_each_linear(weights, [&](const std::string& module, const LinearWeights& layer) { layers[module] = layer; });
  const nlohmann::json probes = probes_of(golden_.folder);
  EXPECT_GE(probes.size(), 4u);
  for (const nlohmann::json& probe : probes) {
    const std::string module = probe.at("module");
    const LinearWeights& layer = layers.at(module);
    ASSERT_TRUE(is_integer_linear(layer)) << module;
    EXPECT_EQ(code_bits(layer.weight.dtype), probe.at("bits").get<int>()) << module;
    EXPECT_EQ(layer.input_scale, probe.at("input_scale").get<float>()) << module;
    EXPECT_EQ(layer.output_scale, probe.at("output_scale").get<float>()) << module;
    const int64_t N = layer.weight.rows(), M = layer.weight.columns();
    const auto T = static_cast<int64_t>(probe.at("input").size());
    std::vector<float> x, y(static_cast<size_t>(T * N));
    for (const auto& row : probe.at("input")) {
      for (const int code : row) x.push_back(static_cast<float>(code) * layer.input_scale);
    }
    std::vector<int8_t> scratch(static_cast<size_t>(linear_scratch(T, M)));
    for (const Kernels* kernels : all_kernels()) {
      Ops ops(*kernels, 2);
      ops.linear(layer, x.data(), T, scratch, y.data());
      for (int64_t i = 0; i < T * N; ++i) {
        const int code = probe.at("output")[static_cast<size_t>(i / N)][static_cast<size_t>(i % N)];
        ASSERT_EQ(y[static_cast<size_t>(i)], static_cast<float>(code) * layer.output_scale)
            << module << ", " << kernels->name << ", output " << i;
      }
    }
  }
}

TEST_P(MobileModel, KeepsKeysAndValuesAsItWasTrained) {
  Ops ops(*all_kernels().front(), 1);
  const Model model = Model::load(golden_.folder, ops).value();
  const CacheOptions kept = model.cache_options().value();
  EXPECT_EQ(kept.type, DType::kI8);
  ASSERT_EQ(kept.scales.size(), model.config().layers.size());
  for (size_t l = 0; l < kept.scales.size(); ++l) {
    const auto owner = static_cast<size_t>(model.config().layers[l].kv_layer);
    EXPECT_GT(kept.scales[l].keys, 0.0f);
    EXPECT_EQ(kept.scales[l].keys, kept.scales[owner].keys);
    EXPECT_EQ(kept.scales[l].values, kept.scales[owner].values);
  }
  EXPECT_EQ(model.cache_options(DType::kF16).value().type, DType::kF16);
}

TEST_P(MobileModel, ThreadsBatchesAndSplitsChangeNoBit) {
  for (const Kernels* kernels : all_kernels()) {
    Ops one(*kernels, 1), three(*kernels, 3);
    Model whole = Model::load(golden_.folder, one).value();
    const std::vector<int32_t> ids = [&] {
      std::vector<int32_t> many;
      for (int i = 0; i < 5; ++i) many.insert(many.end(), golden_.prompts[0].ids.begin(), golden_.prompts[0].ids.end());
      return many;
    }();
    for (const DType type : {DType::kI8, DType::kF32}) {
      const std::vector<float> expected = all_logits(whole, ids, type, ids.size());
      for (const int64_t batch : {1, 3, 4, 5, 17, 64}) {
        Model model = Model::load(golden_.folder, batch % 2 == 0 ? one : three, {.batch = batch}).value();
        EXPECT_EQ(all_logits(model, ids, type, static_cast<size_t>(batch)), expected)
            << kernels->name << ", batch " << batch << ", " << dtype_name(type);
      }
    }
  }
}

TEST_P(MobileModel, RoundingKeysAndValuesMovesTheLogits) {
  Ops ops(*all_kernels().front(), 2);
  Model model = Model::load(golden_.folder, ops).value();
  const std::vector<int32_t>& ids = golden_.prompts[0].ids;
  const double difference = largest_difference(all_logits(model, ids, DType::kI8, ids.size()),
                                               all_logits(model, ids, DType::kF32, ids.size()));
  EXPECT_GT(difference, 1e-3);
  EXPECT_LT(difference, 1.0);
}

/// The model's weights as float32, in a folder without any quantizer.
void write_floats(const Checkpoint& checkpoint, const std::filesystem::path& target) {
  ModelConfig config = checkpoint.config();
  config.scheme.clear();
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
    const std::vector<float> values = decode_tensor(*checkpoint.find(spec.name));
    return sink(std::as_bytes(std::span(values)));
  };
  const auto written = write_checkpoint(target, config, checkpoint.vocabulary(), expected_tensors(config), produce);
  ASSERT_TRUE(written.ok()) << written.error().message;
}

TEST_P(MobileModel, WithoutQuantizersItIsTheFloatModel) {
  TemporaryFolder folder;
  write_floats(Checkpoint::open(golden_.folder).value(), folder / "floats");
  Ops ops(*all_kernels().front(), 2);
  const ModelSettings without = {.input_quantizers = false, .output_quantizers = false};
  Model bare = Model::load(golden_.folder, ops, without).value();
  Model floats = Model::load(folder / "floats", ops).value();
  Model trained = Model::load(golden_.folder, ops).value();
  for (const GoldenPrompt& prompt : golden_.prompts) {
    const std::vector<float> expected = all_logits(floats, prompt.ids, DType::kF32, prompt.ids.size());
    const std::vector<float> logits = all_logits(bare, prompt.ids, DType::kF32, prompt.ids.size());
    EXPECT_LT(largest_difference(logits, expected), 1e-4);
    EXPECT_GT(largest_difference(all_logits(trained, prompt.ids, DType::kF32, prompt.ids.size()), expected), 1e-3);
  }
}

TEST_P(MobileModel, QuantizersCanBeLeftOutByTheirSide) {
  const Checkpoint checkpoint = Checkpoint::open(golden_.folder).value();
  for (const bool inputs : {true, false}) {
    const ModelWeights weights = ModelWeights::bind(checkpoint, {.inputs = inputs, .outputs = !inputs}).value();
    int seen = 0;
    for_each_linear(weights, [&](const std::string& module, const LinearWeights& layer) {
      if (!checkpoint.find(module + ".input_activation_scale")) return;
      seen += 1;
      EXPECT_EQ(layer.input_scale > 0.0f, inputs) << module;
      const bool has_output = checkpoint.find(module + ".output_activation_scale") != nullptr;
      EXPECT_EQ(layer.output_scale > 0.0f, !inputs && has_output) << module;
    });
    EXPECT_GT(seen, 10);
  }
}

/// Counts what it sees.
class Counts final : public ActivationObserver {
 public:
  void see_linear(const LinearWeights& layer, const float*, int64_t T, const float*) override {
    rows_by_layer_[&layer] += T;
  }
  void see_cache(size_t layer, int64_t T, const float* keys, const float* values) override {
    EXPECT_TRUE(keys != nullptr && values != nullptr);
    cached_rows_[layer] += T;
  }

  std::map<const LinearWeights*, int64_t> rows_by_layer_;
  std::map<size_t, int64_t> cached_rows_;
};

TEST_P(MobileModel, AnObserverSeesEveryLinearLayerAndWhatIsKept) {
  Ops ops(*all_kernels().front(), 1);
  Model model = Model::load(golden_.folder, ops).value();
  Counts counts;
  model.set_observer(&counts);
  const std::vector<int32_t>& ids = golden_.prompts[0].ids;
  all_logits(model, ids, DType::kI8, 5);
  const auto T = static_cast<int64_t>(ids.size());
  size_t layers = 0;
  for_each_linear(model.weights(), [&](const std::string& module, const LinearWeights& layer) {
    layers += 1;
    EXPECT_EQ(counts.rows_by_layer_[&layer], T) << module;
  });
  EXPECT_EQ(counts.rows_by_layer_.size(), layers);
  for (size_t l = 0; l < model.config().layers.size(); ++l) {
    EXPECT_EQ(counts.cached_rows_[l], model.config().owns_kv(l) ? T : 0) << l;
  }
  model.set_observer(nullptr);
  all_logits(model, ids, DType::kI8, 5);
  EXPECT_EQ(counts.rows_by_layer_.begin()->second, T);
}

}  // namespace
}  // namespace carat
