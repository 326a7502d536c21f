#include "eval/same_run.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "formats/scheme_tensors.h"
#include "tests/support/coded_model.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/opal.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

void leave(const std::string&, std::vector<float>&) {}

bool is_matrix(const std::string& name) { return !name.ends_with("norm.weight") && name.ends_with(".weight"); }

/// Moves each value by up to `part` of the magnitude that the values have on average.
void nudge(std::vector<float>& values, float part, uint64_t seed) {
  double sum = 0.0;
  for (const float value : values) sum += std::fabs(static_cast<double>(value));
  const auto most = part * static_cast<float>(sum / static_cast<double>(values.size()));
  Random random(seed);
  for (float& value : values) value += most * (2.0f * random.uniform() - 1.0f);
}

class SameRunTest : public ::testing::Test {
 protected:
  SameRunTest() { EXPECT_TRUE(tiny_.write(reference_, "f32").ok()); }

  /// The checkpoint at `source` with its values rounded to a built-in scheme.
  std::filesystem::path rounded(const std::filesystem::path& source, const std::string& name, const char* scheme_name,
                                const Provenance& provenance = {}) {
    const Checkpoint checkpoint = Checkpoint::open(source).value();
    const Scheme& scheme = *built_in_scheme(scheme_name);
    const std::filesystem::path target = folder_ / name;
    ModelConfig config = checkpoint.config();
    config.scheme = scheme.name;
    config.provenance = provenance;
    std::vector<TensorSpec> specs = expected_tensors(config);
    for (TensorSpec& spec : specs) {
      spec.dtype = storable(container_of_path(target), scheme.lattice_of(spec.name), spec.name, spec.shape);
    }
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
      std::vector<float> values = decode_tensor(*checkpoint.find(spec.name));
      snap(scheme.lattice_of(spec.name), values, values);
      std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
      encode(spec.dtype, values, stored);
      return sink(stored);
    };
    EXPECT_TRUE(write_checkpoint(target, config, checkpoint.vocabulary(), specs, produce).ok());
    return target;
  }

  std::filesystem::path edited(const std::string& name, const TensorEdit& edit) {
    EXPECT_TRUE(write_edited(reference_, folder_ / name, edit).ok());
    return folder_ / name;
  }

  static RunComparison relate(const std::filesystem::path& model, const std::filesystem::path& reference) {
    return relate_runs(Checkpoint::open(model).value(), Checkpoint::open(reference).value());
  }

  static void expect_same(const std::filesystem::path& model, const std::filesystem::path& reference) {
    const RunComparison found = relate(model, reference);
    EXPECT_EQ(found.relation, RunRelation::kSame) << found.warning;
    EXPECT_EQ(found.warning, "");
  }

  static void expect_other(const RunComparison& found, const std::string& sign) {
    EXPECT_EQ(found.relation, RunRelation::kOther);
    EXPECT_NE(found.warning.find(sign), std::string::npos) << found.warning;
    EXPECT_NE(found.warning.find("take the unrounded weights of the same training"), std::string::npos);
  }

  TinyModel tiny_{{.hidden = 128, .ffn_width = 256}, 1};
  TemporaryFolder folder_;
  const std::filesystem::path reference_ = folder_ / "reference";
};

TEST_F(SameRunTest, RoundingAfterTrainingIsNoOtherRun) {
  expect_same(reference_, reference_);
  for (const char* scheme : {"f16", "bf16", "q8_0", "q4_0"}) {
    SCOPED_TRACE(scheme);
    const std::string name = scheme;
    expect_same(rounded(reference_, name + ".gguf", scheme), reference_);
    expect_same(rounded(reference_, name + "-folder", scheme), reference_);
    expect_same(reference_, folder_ / (name + ".gguf"));
  }
}

TEST_F(SameRunTest, TwoRoundingsOfOneModelAreTheSameRun) {
  rounded(reference_, "q4_0.gguf", "q4_0");
  rounded(reference_, "q8_0.gguf", "q8_0");
  rounded(reference_, "bf16", "bf16");
  for (const char* a : {"q4_0.gguf", "q8_0.gguf", "bf16"}) {
    for (const char* b : {"q4_0.gguf", "q8_0.gguf", "bf16"}) expect_same(folder_ / a, folder_ / b);
  }
}

TEST_F(SameRunTest, FloatsOnALatticeAreTheSameRunAsTheirBlocks) {
  rounded(reference_, "q4_0.gguf", "q4_0");
  rounded(folder_ / "q4_0.gguf", "image", "bf16");
  expect_same(folder_ / "q4_0.gguf", folder_ / "image");
  expect_same(folder_ / "image", reference_);
  // Rounded once more, to another lattice.
  rounded(folder_ / "image", "again.gguf", "q8_0");
  expect_same(folder_ / "again.gguf", folder_ / "image");
}

TEST_F(SameRunTest, CodesAreTheSameRunAsTheirValues) {
  const TinyShape shape;
  const CodedModel coded(shape, coded_scheme(shape), 3);
  ASSERT_TRUE(coded.write(folder_ / "coded", Container::kSafetensors).ok());
  ASSERT_TRUE(write_edited(folder_ / "coded", folder_ / "values", leave).ok());
  expect_same(folder_ / "coded", folder_ / "values");
}

TEST_F(SameRunTest, TrainingMovesWhatStaysFloat) {
  edited("trained", [](const std::string& name, std::vector<float>& values) { nudge(values, 0.02f, name.size()); });
  expect_other(relate(rounded(folder_ / "trained", "qat.gguf", "q4_0"), reference_), "neither has on a lattice differ");
  expect_other(relate(folder_ / "trained", reference_), "neither has on a lattice differ");
}

TEST_F(SameRunTest, WeightsFartherThanRoundingTellOfTraining) {
  edited("trained", [](const std::string& name, std::vector<float>& values) {
    if (is_matrix(name) && name.find("per_layer_model_projection") == std::string::npos) nudge(values, 0.3f, 7);
  });
  const RunComparison found = relate(rounded(folder_ / "trained", "qat.gguf", "q4_0"), reference_);
  expect_other(found, "of the quantized weights are more than half a step apart (rounding by GPTQ");
  EXPECT_EQ(found.warning.find("neither has on a lattice differ"), std::string::npos);
}

TEST_F(SameRunTest, NamesBothModels) {
  edited("trained", [](const std::string& name, std::vector<float>& values) { nudge(values, 0.02f, name.size()); });
  const std::string warning = relate(folder_ / "trained", reference_).warning;
  EXPECT_TRUE(warning.starts_with(reference_.string() + " is not what " + (folder_ / "trained").string())) << warning;
}

TEST_F(SameRunTest, RecordedTrainingTells) {
  const ProvenanceStep training = {.tool = "carat 0.1.0", .command = "train", .recipe = {{"steps", int64_t{3}}}};
  const ProvenanceStep conversion = {.tool = "carat 0.1.0", .command = "convert"};
  const ProvenanceStep other_training = {.tool = "carat 0.1.0", .command = "train", .recipe = {{"steps", int64_t{4}}}};
  const auto written = [&](const char* name, const Provenance& provenance) {
    return rounded(reference_, name, "q4_0", provenance);
  };
  const auto trained = written("trained.gguf", {training, conversion});
  expect_same(trained, written("image", {training}));
  expect_same(trained, written("silent", {}));
  expect_other(relate(trained, written("other", {other_training})), "different runs of training");
  expect_other(relate(trained, written("untrained", {conversion})), "different runs of training");
}

TEST_F(SameRunTest, OtherShapesAreOtherRuns) {
  ASSERT_TRUE(TinyModel({.hidden = 64, .ffn_width = 256}, 1).write(folder_ / "narrow", "f32").ok());
  ASSERT_TRUE(TinyModel({.pattern = "SSF", .shared = 0, .hidden = 128}, 1).write(folder_ / "short", "f32").ok());
  expect_other(relate(folder_ / "narrow", reference_), "64] in the one and");
  expect_other(relate(folder_ / "short", reference_), "the one has 3 layers, the other 6");
}

TEST_F(SameRunTest, QuantizationAwareTrainingOfOpalIsAnotherRun) {
  const std::filesystem::path opal = test::opal_folder();
  expect_other(relate(opal / "opal-qat-q4_0.gguf", opal), "98 % of the weights that neither has on a lattice differ");
  expect_same(rounded(opal, "ptq.gguf", "q4_0"), opal);
  expect_same(rounded(opal / "opal-qat-q4_0.gguf", "image", "f32"), opal / "opal-qat-q4_0.gguf");
}

}  // namespace
}  // namespace carat
