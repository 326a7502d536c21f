#include "model/random_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/file_map.h"
#include "formats/checkpoint.h"
#include "formats/scheme_tensors.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "model/mobile_scheme.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

bool go_on(uint64_t, uint64_t) { return true; }

RandomModel random_model(const char* scheme, uint64_t seed, const TinyShape& shape = {}) {
  const TinyModel tiny(shape);
  return {.config = tiny.config, .vocabulary = tiny.vocabulary, .scheme = *built_in_scheme(scheme), .seed = seed};
}

std::string written(const RandomModel& model, int thread_count) {
  const TemporaryFolder folder;
  ThreadPool threads(thread_count);
  EXPECT_TRUE(write_random_model(folder / "m.gguf", model, threads, go_on).ok());
  return read_text_file(folder / "m.gguf", size_t{1} << 28).value();
}

TEST(RandomModel, DependsOnTheSeedAndNotOnThreads) {
  const std::string first = written(random_model("q4_0", 7), 1);
  EXPECT_EQ(first, written(random_model("q4_0", 7), 1));
  EXPECT_EQ(first, written(random_model("q4_0", 7), 3));
  EXPECT_NE(first, written(random_model("q4_0", 8), 1));
}

TEST(RandomModel, ContainersAndSchemesHoldTheSameWeights) {
  const TemporaryFolder folder;
  ThreadPool threads(2);
  for (const auto& [name, scheme] : {std::pair{"a.gguf", "q4_0"}, {"b", "q4_0"}, {"c", "f32"}}) {
    ASSERT_TRUE(write_random_model(folder / name, random_model(scheme, 7), threads, go_on).ok());
  }
  const Checkpoint file = Checkpoint::open(folder / "a.gguf").value();
  const Checkpoint same = Checkpoint::open(folder / "b").value();
  const Checkpoint plain = Checkpoint::open(folder / "c").value();
  EXPECT_EQ(same.config().scheme, "q4_0");
  const Scheme& scheme = *built_in_scheme("q4_0");
  for (const auto& [name, view] : file.tensors()) {
    EXPECT_EQ(decode_tensor(view), decode_tensor(*same.find(name))) << name;
    std::vector<float> snapped = decode_tensor(*plain.find(name));
    snap(scheme.lattice_of(name), snapped, snapped);
    EXPECT_EQ(decode_tensor(view), snapped) << name;
  }
}

TEST(RandomModel, ScalesKeepSignalsAtTheirSize) {
  const TemporaryFolder folder;
  ThreadPool threads(1);
  const RandomModel model = random_model("f32", 1);
  ASSERT_TRUE(write_random_model(folder / "m", model, threads, go_on).ok());
  const Checkpoint checkpoint = Checkpoint::open(folder / "m").value();
  const auto deviation = [&](const std::string& name) {
    double sum = 0, squares = 0;
    const std::vector<float> values = decode_tensor(*checkpoint.find(name));
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    const double mean = sum / static_cast<double>(values.size());
    return std::sqrt(squares / static_cast<double>(values.size()) - mean * mean);
  };
  // About 6 standard errors of a deviation over 4000 values.
  constexpr double kTolerance = 0.07;
  EXPECT_NEAR(deviation("model.embed_tokens.weight") * std::sqrt(model.config.hidden), 1, kTolerance);
  EXPECT_NEAR(deviation("model.embed_tokens_per_layer.weight") * std::sqrt(model.config.per_layer_width), 1,
              kTolerance);
  EXPECT_NEAR(deviation("model.layers.0.self_attn.q_proj.weight") * std::sqrt(model.config.hidden), 1, kTolerance);
  EXPECT_EQ(decode_tensor(*checkpoint.find("model.norm.weight")).front(), 1.0f);
  EXPECT_EQ(decode_tensor(*checkpoint.find("model.layers.0.layer_scalar")).front(), 0.875f);
  const TensorView& key_norm = *checkpoint.find("model.layers.0.self_attn.k_norm.weight");
  EXPECT_FLOAT_EQ(decode_tensor(key_norm).front(), 1.0f / std::sqrt(static_cast<float>(key_norm.columns())));
}

TEST(RandomModel, ExpertsAreDrawnRowByRow) {
  const TemporaryFolder folder;
  ThreadPool threads(2);
  const TinyShape shape = {.pattern = "F", .shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 8};
  for (const auto& [name, scheme] : {std::pair{"a.gguf", "q4_0"}, {"b", "f32"}}) {
    ASSERT_TRUE(write_random_model(folder / name, random_model(scheme, 7, shape), threads, go_on).ok());
  }
  const Checkpoint stored = Checkpoint::open(folder / "a.gguf").value();
  const Checkpoint plain = Checkpoint::open(folder / "b").value();
  for (const std::string name : {"model.layers.0.experts.gate_up_proj", "model.layers.0.experts.down_proj"}) {
    EXPECT_EQ(stored.find(name)->dtype, DType::kQ4_0);
    std::vector<float> values = decode_tensor(*plain.find(name));
    const auto half = static_cast<std::ptrdiff_t>(values.size() / 2);
    EXPECT_FALSE(std::equal(values.begin(), values.begin() + half, values.begin() + half));
    snap(DType::kQ4_0, values, values);
    EXPECT_EQ(decode_tensor(*stored.find(name)), values) << name;
  }
  EXPECT_EQ(stored.find("model.layers.0.router.proj.weight")->dtype, DType::kF32);
  EXPECT_EQ(decode_tensor(*stored.find("model.layers.0.router.scale")), std::vector<float>(64, 1.0f));
  EXPECT_EQ(decode_tensor(*stored.find("model.layers.0.router.per_expert_scale")), std::vector<float>(8, 1.0f));
  EXPECT_EQ(stored.find("model.layers.0.self_attn.v_proj.weight"), nullptr);
}

RandomModel random_mobile_model(uint64_t seed) {
  RandomModel model = random_model("f32", seed);
  model.scheme = mobile_scheme(model.config).value();
  return model;
}

std::string mobile_weights(uint64_t seed, int thread_count) {
  const TemporaryFolder folder;
  ThreadPool threads(thread_count);
  EXPECT_TRUE(write_random_model(folder / "m", random_mobile_model(seed), threads, go_on).ok());
  return read_text_file(folder / "m" / "model.safetensors", size_t{1} << 28).value();
}

TEST(RandomModel, CodesDependOnTheSeedAndNotOnThreads) {
  const std::string first = mobile_weights(7, 1);
  EXPECT_EQ(first, mobile_weights(7, 3));
  EXPECT_NE(first, mobile_weights(8, 1));
}

TEST(RandomModel, CodesHaveTheDeviationOfFloatsAndUseTheirRange) {
  const TemporaryFolder folder;
  ThreadPool threads(2);
  const RandomModel model = random_mobile_model(7);
  ASSERT_TRUE(write_random_model(folder / "m", model, threads, go_on).ok());
  const Checkpoint checkpoint = Checkpoint::open(folder / "m").value();
  EXPECT_EQ(checkpoint.find("model.norm.weight")->dtype, DType::kBF16);
  for (const auto& [name, view] : checkpoint.tensors()) {
    const SchemeRule* rule = model.scheme.rule_for(name);
    EXPECT_EQ(view.dtype, rule->lattice) << name;
    if (!is_code_type(view.dtype)) continue;
    const int64_t width = rule->group == 0 ? view.columns() : rule->group;
    double squares = 0;
    const std::vector<float> values = decode_tensor(view);
    for (const float value : values) squares += static_cast<double>(value) * value;
    EXPECT_NEAR(squares / static_cast<double>(values.size()) * static_cast<double>(width), 1.0, 0.12) << name;
    std::vector<float> codes(static_cast<size_t>(view.rows() * view.columns()));
    decode(view.dtype, view.data, codes);
    EXPECT_EQ(*std::ranges::min_element(codes), static_cast<float>(code_range(code_bits(view.dtype)).lowest)) << name;
  }
  for (const TensorSpec& scale : static_scales(model.config, model.scheme)) {
    ASSERT_NE(checkpoint.find(scale.name), nullptr) << scale.name;
    EXPECT_GT(decode_tensor(*checkpoint.find(scale.name)).front(), 0.0f) << scale.name;
  }
}

TEST(RandomModel, CodesGoIntoAFolderOnly) {
  const TemporaryFolder folder;
  ThreadPool threads(1);
  const auto written = write_random_model(folder / "m.gguf", random_mobile_model(1), threads, go_on);
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("write a folder, and convert that to GGUF"), std::string::npos)
      << written.error().message;
}

TEST(RandomModel, StopsWhenAskedAndLeavesNothing) {
  const TemporaryFolder folder;
  ThreadPool threads(1);
  int calls = 0;
  const auto stopped = write_random_model(folder / "m.gguf", random_model("f32", 1), threads,
                                          [&](uint64_t, uint64_t) { return ++calls < 3; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace carat
