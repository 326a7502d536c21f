#include "eval/sensitivity.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "eval/quantized_tensor.h"
#include "formats/convert.h"
#include "kernels/select.h"
#include "session/model_sizes.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr uint64_t kInMemory = uint64_t{1} << 30;
constexpr const char* kSensitive = "model.layers.1.mlp.down_proj.weight";

bool keep_going(int64_t, int64_t) { return true; }
bool go_on(uint64_t, uint64_t) { return true; }

const TinyShape kShape = {.pattern = "SFSF", .shared = 2};

Scheme codes_scheme() {
  return {.name = "codes",
          .rules = {{.pattern = "*down_proj.weight", .lattice = DType::kI2},
                    {.pattern = "*_proj.weight", .lattice = DType::kI4, .group = 32},
                    {.pattern = "*embed_tokens*.weight", .lattice = DType::kI8}}};
}

class SensitivityTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(TinyModel(kShape, 5).write(source_, "f32").ok()); }

  Model load(const std::filesystem::path& path, Ops& ops) { return Model::load(path, ops).value(); }

  Result<Sensitivity> measure(Model& model, Ops& ops, const Scheme& scheme, bool wider, uint64_t memory = kInMemory,
                              const EvalProgress& progress = keep_going) {
    const EvalText text = one_document(random_ids(model.config().vocabulary, 9, 60, 1));
    const EvalTask task = {text, {.positions = 40}, ops.pool(), progress};
    return measure_sensitivity(model, scheme, sensitivity_trials(model.checkpoint(), scheme, wider), task, memory);
  }

  Result<Sensitivity> measure(const std::filesystem::path& path, const Scheme& scheme, bool wider = false) {
    Model model = load(path, ops_);
    return measure(model, ops_, scheme, wider);
  }

  TemporaryFolder folder_;
  std::filesystem::path source_ = folder_ / "source";
  Ops ops_{*all_kernels().front(), 2};
  const Scheme& q4_0_ = *built_in_scheme("q4_0");
};

std::vector<std::byte> bytes_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

/// Every tensor that `scheme` moves, byte for byte.
void expect_as_converted(const std::filesystem::path& path, const Scheme& scheme, const std::filesystem::path& target,
                         bool moves, ThreadPool& threads) {
  const Checkpoint source = Checkpoint::open(path).value();
  ConvertOptions options;
  options.scheme = &scheme;
  options.container = container_of(scheme);
  const auto converted = convert_checkpoint(source, target, options, go_on);
  ASSERT_TRUE(converted.ok()) << converted.error().message;
  const Checkpoint other = Checkpoint::open(target).value();
  const auto trials = sensitivity_trials(source, scheme, false);
  ASSERT_GT(trials.size(), 20u);
  for (const SensitivityTrial& trial : trials) {
    const QuantizedTensor made = quantize_tensor(*trial.tensor, trial.lattice, trial.group, threads).value();
    const TensorView expected = *other.find(trial.tensor->name);
    ASSERT_EQ(made.dtype, expected.dtype) << trial.tensor->name;
    EXPECT_EQ(made.data, bytes_of(expected.data)) << trial.tensor->name;
    ASSERT_EQ(made.groups, expected.scales.groups) << trial.tensor->name;
    for (int64_t row = 0; row < expected.rows(); ++row) {
      for (int64_t group = 0; group < made.groups; ++group) {
        ASSERT_EQ(made.view().scales.at(row, group), expected.scales.at(row, group)) << trial.tensor->name;
      }
    }
    EXPECT_EQ(made.moved > 0, moves) << trial.tensor->name;
  }
}

TEST_F(SensitivityTest, TensorsAreThoseOfAConversion) {
  expect_as_converted(source_, q4_0_, folder_ / "blocks.gguf", true, ops_.pool());
  expect_as_converted(source_, codes_scheme(), folder_ / "codes", true, ops_.pool());
  ASSERT_TRUE(TinyModel(kShape, 5).write(folder_ / "on", "q4_0").ok());
  expect_as_converted(folder_ / "on", q4_0_, folder_ / "on.gguf", false, ops_.pool());
}

TEST_F(SensitivityTest, TheErrorIsThatOfTheValues) {
  const Checkpoint source = Checkpoint::open(source_).value();
  const NamedTensor tensor = {kSensitive, *source.find(kSensitive)};
  const QuantizedTensor made = quantize_tensor(tensor, DType::kQ4_0, 0, ops_.pool()).value();
  const std::vector<float> before = decode_tensor(tensor.view);
  const std::vector<float> after = decode_tensor(made.view());
  double squares = 0, power = 0;
  uint64_t moved = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const double difference = static_cast<double>(after[i]) - static_cast<double>(before[i]);
    squares += difference * difference;
    power += static_cast<double>(before[i]) * static_cast<double>(before[i]);
    moved += before[i] != after[i] ? 1 : 0;
  }
  EXPECT_NEAR(made.relative_error, std::sqrt(squares / power), 1e-12);
  EXPECT_GT(made.relative_error, 0.03);
  EXPECT_LT(made.relative_error, 0.15);
  EXPECT_EQ(made.moved, moved);
}

TEST_F(SensitivityTest, OfTensorsOnTheirLatticeIsExactlyZero) {
  ASSERT_TRUE(TinyModel(kShape, 5).write(folder_ / "on", "q4_0").ok());
  const Sensitivity found = measure(folder_ / "on", q4_0_).value();
  ASSERT_GT(found.ranked.size(), 20u);
  for (const TensorSensitivity& tensor : found.ranked) {
    EXPECT_EQ(tensor.mean_kld.value, 0.0) << tensor.tensor;
    EXPECT_EQ(tensor.relative_error, 0.0) << tensor.tensor;
    EXPECT_LT(tensor.bytes_after, tensor.bytes_before) << tensor.tensor;
  }
}

TEST_F(SensitivityTest, ImagesInBfloat16AreOnTheLatticeToo) {
  ASSERT_TRUE(TinyModel(kShape, 5).write(folder_ / "on", "q4_0").ok());
  const Checkpoint on = Checkpoint::open(folder_ / "on").value();
  std::vector<float> values = decode_tensor(*on.find(kSensitive));
  std::vector<std::byte> stored(values.size() * 2);
  encode(DType::kBF16, values, stored);
  const NamedTensor image = {kSensitive, {DType::kBF16, on.find(kSensitive)->shape, stored}};
  const QuantizedTensor made = quantize_tensor(image, DType::kQ4_0, 0, ops_.pool()).value();
  EXPECT_EQ(made.moved, 0u);
  EXPECT_EQ(made.relative_error, 0.0);
}

TEST_F(SensitivityTest, RanksWhatMattersMostFirst) {
  // All on the lattice but two: one a little beside it, one with outliers that take all levels of their blocks.
  constexpr const char* kHarmless = "model.layers.0.mlp.down_proj.weight";
  ASSERT_TRUE(TinyModel(kShape, 5).write(folder_ / "on", "q4_0").ok());
  const auto edit = [&](const std::string& name, std::vector<float>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (name == kHarmless && i % 32 == 5) values[i] *= 1.01f;
      if (name == kSensitive && i % 32 == 5) values[i] = 3.0f;
    }
  };
  ASSERT_TRUE(write_edited(folder_ / "on", folder_ / "edited", edit).ok());
  const Sensitivity found = measure(folder_ / "edited", q4_0_).value();
  ASSERT_GT(found.ranked.size(), 20u);
  EXPECT_EQ(found.ranked[0].tensor, kSensitive);
  EXPECT_EQ(found.ranked[1].tensor, kHarmless);
  EXPECT_GT(found.ranked[0].mean_kld.value, 10 * found.ranked[1].mean_kld.value);
  EXPECT_GT(found.ranked[1].mean_kld.value, 0.0);
  EXPECT_GT(found.ranked[0].mean_kld.standard_error, 0.0);
  EXPECT_EQ(found.ranked[2].mean_kld.value, 0.0);
  EXPECT_EQ(found.ranked[0].stored, "F32");
  EXPECT_EQ(found.ranked[0].lattice, "Q4_0");
}

TEST_F(SensitivityTest, IsThatOfAModelThatIsStoredSo) {
  Model model = load(source_, ops_);
  const Sensitivity found = measure(model, ops_, q4_0_, true).value();
  for (const TensorSensitivity* one : {&found.ranked.front(), &found.wider.front()}) {
    const Scheme scheme = {.name = "one", .rules = {{.pattern = one->tensor, .lattice = one->dtype}}};
    ConvertOptions options;
    options.scheme = &scheme;
    const auto target = folder_ / (one->lattice + ".gguf");
    ASSERT_TRUE(convert_checkpoint(model.checkpoint(), target, options, go_on).ok());
    Model stored = load(target, ops_);
    const EvalText text = one_document(random_ids(model.config().vocabulary, 9, 60, 1));
    const Comparison expected =
        compare_models(stored, model, {text, {.positions = 40}, ops_.pool(), keep_going})->whole;
    EXPECT_EQ(one->mean_kld.value, expected.mean_kld.value);
    EXPECT_EQ(one->mean_kld.standard_error, expected.mean_kld.standard_error);
  }
  EXPECT_LT(found.wider.front().mean_kld.value, found.ranked.front().mean_kld.value / 20);
}

TEST_F(SensitivityTest, ThreadsChangeNothing) {
  const Sensitivity two = measure(source_, codes_scheme(), true).value();
  Ops ops(*all_kernels().front(), 3);
  Model model = load(source_, ops);
  const Sensitivity three = measure(model, ops, codes_scheme(), true).value();
  ASSERT_EQ(two.ranked.size(), three.ranked.size());
  for (size_t i = 0; i < two.ranked.size(); ++i) {
    EXPECT_EQ(two.ranked[i].tensor, three.ranked[i].tensor);
    EXPECT_EQ(two.ranked[i].mean_kld.value, three.ranked[i].mean_kld.value);
    EXPECT_EQ(two.ranked[i].relative_error, three.ranked[i].relative_error);
  }
}

TEST_F(SensitivityTest, LogitsMayLieInAFile) {
  Model model = load(source_, ops_);
  const Sensitivity exact = measure(model, ops_, q4_0_, false).value();
  const Sensitivity rounded = measure(model, ops_, q4_0_, false, /*memory=*/1).value();
  ASSERT_EQ(exact.ranked.size(), rounded.ranked.size());
  EXPECT_EQ(exact.ranked.front().tensor, rounded.ranked.front().tensor);
  const double kld = exact.ranked.front().mean_kld.value;
  EXPECT_NEAR(kld, rounded.ranked.front().mean_kld.value, 1e-3 * kld);
  EXPECT_NE(kld, rounded.ranked.front().mean_kld.value);
}

TEST_F(SensitivityTest, WhatWasMeasuredBeforeAnInterruptStays) {
  Model model = load(source_, ops_);
  const size_t all = sensitivity_trials(model.checkpoint(), q4_0_, false).size();
  const Sensitivity found = measure(model, ops_, q4_0_, false, kInMemory, [](int64_t done, int64_t total) {
                              EXPECT_LE(done, total);
                              return done < 4 * 60;
                            }).value();
  EXPECT_EQ(found.ranked.size(), 2u);
  EXPECT_EQ(found.left_out, all - 2);
  const auto nothing = measure(model, ops_, q4_0_, false, kInMemory, [](int64_t, int64_t) { return false; });
  EXPECT_EQ(nothing.error().kind, ErrorKind::kInterrupted);
}

TEST_F(SensitivityTest, AMixTakesTheBytesThatItSays) {
  const Scheme codes = codes_scheme();
  for (const Scheme* scheme : {&q4_0_, &codes}) {
    Model model = load(source_, ops_);
    const Sensitivity found = measure(model, ops_, *scheme, true).value();
    const MixChoices choices = mix_choices(model.checkpoint(), *scheme, found);
    const MixedScheme all = recommend_scheme(choices.tensors, choices.fixed_bytes, kInMemory).value();
    EXPECT_EQ(all.bytes, sizes_of(model.checkpoint()).weights) << "everything as it is";
    EXPECT_EQ(all.predicted_kld, 0.0);
    const MixedScheme half = recommend_scheme(choices.tensors, choices.fixed_bytes, all.bytes / 4).value();
    EXPECT_GT(half.predicted_kld, 0.0);
    EXPECT_LE(half.bytes, all.bytes / 4);
    EXPECT_GT(half.bytes, all.bytes / 5);
    ConvertOptions options;
    options.scheme = &half.scheme;
    options.container = container_of(*scheme);
    const auto target = folder_ / (has_codes(*scheme) ? "mix" : "mix.gguf");
    const auto converted = convert_checkpoint(model.checkpoint(), target, options, go_on);
    ASSERT_TRUE(converted.ok()) << converted.error().message;
    EXPECT_EQ(sizes_of(Checkpoint::open(target).value()).weights, half.bytes);
  }
}

TEST_F(SensitivityTest, RefusesValuesThatAreNotFinite) {
  const auto edit = [&](const std::string& name, std::vector<float>& values) {
    if (name == kSensitive) values[77] = std::numeric_limits<float>::infinity();
  };
  ASSERT_TRUE(write_edited(source_, folder_ / "broken", edit).ok());
  const Checkpoint broken = Checkpoint::open(folder_ / "broken").value();
  const NamedTensor tensor = {kSensitive, *broken.find(kSensitive)};
  const auto made = quantize_tensor(tensor, DType::kQ4_0, 0, ops_.pool());
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find(kSensitive), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace carat
