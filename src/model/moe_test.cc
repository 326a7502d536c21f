#include "model/moe.h"

#include <gtest/gtest.h>

#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr int64_t kExperts = 5;
constexpr int64_t kUsed = 2;
constexpr const char* kGateUp = "gate_up_proj";

/// The values of a tensor, or of the half of each expert's rows that the names gate_proj and up_proj stand for.
std::vector<float> values_of(const Checkpoint& source, const TensorSpec& spec) {
  if (const TensorView* whole = source.find(spec.name)) return decode_tensor(*whole);
  const bool up = spec.name.ends_with("up_proj");
  const std::string prefix = spec.name.substr(0, spec.name.rfind('.') + 1);
  const std::vector<float> merged = decode_tensor(*source.find(prefix + kGateUp));
  const auto half = static_cast<std::ptrdiff_t>(merged.size()) / (2 * kExperts);
  std::vector<float> values;
  for (int64_t e = 0; e < kExperts; ++e) {
    const auto begin = merged.begin() + (2 * e + (up ? 1 : 0)) * half;
    values.insert(values.end(), begin, begin + half);
  }
  return values;
}

class MoeTest : public ::testing::Test {
 protected:
  MoeTest() {
    const TinyModel model({.pattern = "SF",
                           .shared = 0,
                           .hidden = 32,
                           .per_layer_width = 0,
                           .value_is_key = true,
                           .experts = kExperts,
                           .experts_used = kUsed},
                          7);
    model.write(folder_ / "source", "f32").value();
  }

  std::vector<float> logits_of(const std::filesystem::path& path) {
    Model model = Model::load(path, ops_).value();
    const std::vector<int32_t> ids = random_ids(model.config().vocabulary, 2, 20, 3);
    KvCache cache(model.config(), 20);
    EXPECT_TRUE(cache.reserve(20).ok());
    const std::span<const float> rows = model.all_logits(ids, cache).value();
    return {rows.begin(), rows.end()};
  }

  /// The logits of a model whose weights `edit` has changed.
  std::vector<float> logits(const TensorEdit& edit) {
    EXPECT_TRUE(write_edited(folder_ / "source", folder_ / "edited", edit).ok());
    return logits_of(folder_ / "edited");
  }

  /// The logits where the part of expert `e` of one tensor of layer 1 is multiplied by `factor`.
  std::vector<float> logits_with(const std::string& tensor, size_t e, float factor) {
    return logits([&](const std::string& name, std::vector<float>& values) {
      if (name == "model.layers.1." + tensor) scale_part(values, e, factor);
    });
  }

  static void scale_part(std::vector<float>& values, size_t e, float factor) {
    const size_t size = values.size() / kExperts;
    for (size_t i = e * size; i < (e + 1) * size; ++i) values[i] *= factor;
  }

  TemporaryFolder folder_;
  Ops ops_{*all_kernels().front(), 2};
};

TEST_F(MoeTest, TiesGoToTheFirstExperts) {
  const auto without_preference = [&](size_t e, float factor) {
    return logits([&](const std::string& name, std::vector<float>& values) {
      if (name == "model.layers.1.router.proj.weight") std::fill(values.begin(), values.end(), 0.0f);
      if (name == "model.layers.1.experts.down_proj") scale_part(values, e, factor);
    });
  };
  const std::vector<float> as_made = without_preference(0, 1.0f);
  for (size_t e = 0; e < kExperts; ++e) {
    EXPECT_EQ(without_preference(e, 0.5f) == as_made, e >= kUsed) << "expert " << e;
  }
}

TEST_F(MoeTest, EveryExpertIsChosenBySomeToken) {
  const std::vector<float> as_made = logits_of(folder_ / "source");
  for (size_t e = 0; e < kExperts; ++e) EXPECT_NE(logits_with("experts.gate_up_proj", e, 0.0f), as_made) << e;
}

TEST_F(MoeTest, TheFactorOfAnExpertIsThatOfItsOutput) {
  const std::vector<float> by_factor = logits_with("router.per_expert_scale", 3, 3.0f);
  EXPECT_LT(largest_difference(by_factor, logits_with("experts.down_proj", 3, 3.0f)), 1e-5);
  EXPECT_GT(largest_difference(by_factor, logits_of(folder_ / "source")), 1e-3);
}

TEST_F(MoeTest, TwoTensorsForGateAndUpAreAsGoodAsOne) {
  const Checkpoint source = Checkpoint::open(folder_ / "source").value();
  std::vector<TensorSpec> specs;
  for (const TensorSpec& spec : expected_tensors(source.config())) {
    if (!spec.name.ends_with(kGateUp)) {
      specs.push_back(spec);
      continue;
    }
    const std::string prefix = spec.name.substr(0, spec.name.size() - std::string(kGateUp).size());
    for (const char* half : {"gate_proj", "up_proj"}) {
      specs.push_back({prefix + half, DType::kF32, {kExperts, spec.shape[1] / 2, spec.shape[2]}});
    }
  }
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
    const std::vector<float> values = values_of(source, spec);
    return sink(std::as_bytes(std::span(values)));
  };
  ASSERT_TRUE(write_checkpoint(folder_ / "apart.gguf", source.config(), source.vocabulary(), specs, produce).ok());
  EXPECT_EQ(logits_of(folder_ / "apart.gguf"), logits_of(folder_ / "source"));
}

}  // namespace
}  // namespace carat
