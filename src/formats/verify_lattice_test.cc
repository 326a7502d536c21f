#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/verify.h"
#include "tests/support/grouped_weights.h"

namespace carat {
namespace {

const std::string kUp = "model.layers.1.mlp.up_proj.weight";
// Of the shape [96, 64]: the second group of row 5.
constexpr size_t kPlace = 5 * 64 + 40;

bool go_on(uint64_t, uint64_t) { return true; }

/// The scheme that `GroupedWeights` lie on, by blocks.
Scheme block_scheme() {
  Scheme scheme = grouped_scheme();
  scheme.name = "blocks";
  for (SchemeRule& rule : scheme.rules) {
    if (is_code_type(rule.lattice)) rule = {rule.pattern, DType::kQ4_0};
  }
  return scheme;
}

Result<LatticeReport> check(const std::filesystem::path& path, const Scheme* scheme, int threads = 2) {
  const Checkpoint checkpoint = Checkpoint::open(path).value();
  return check_lattice(checkpoint, scheme, threads, go_on);
}

const TensorOnLattice& tensor_of(const LatticeReport& report, const std::string& name) {
  for (const TensorOnLattice& tensor : report.tensors) {
    if (tensor.name == name) return tensor;
  }
  CARAT_CHECK(false, "a tensor of the report");
}

class VerifyLattice : public testing::Test {
 protected:
  TemporaryFolder folder_;
  GroupedWeights weights_;
};

TEST_F(VerifyLattice, EveryFormLiesOnBlocksAndOnCodes) {
  const Scheme blocks = block_scheme(), codes = grouped_scheme();
  for (const Form form : kForms) {
    const std::string name = std::to_string(static_cast<int>(form));
    weights_.write(folder_ / name, form);
    for (const Scheme* scheme : {&blocks, &codes}) {
      const LatticeReport report = check(folder_ / name, scheme).value();
      EXPECT_TRUE(report.on_lattice()) << name << " " << scheme->name;
      EXPECT_EQ(report.scheme, scheme->name);
      const bool stored_so =
          scheme == &blocks ? form == Form::kBlocks : form == Form::kCompressedTensors || form == Form::kMlx;
      const TensorOnLattice& up = tensor_of(report, kUp);
      EXPECT_EQ(up.by_type, stored_so) << name;
      EXPECT_EQ(up.lattice, scheme == &blocks ? "Q4_0" : "I4 group 32");
      EXPECT_EQ(up.count.groups, stored_so ? 0u : 96u * 64 / 32);
      EXPECT_EQ(up.count.exact, up.count.groups);
      EXPECT_TRUE(up.first.empty());
    }
  }
}

TEST_F(VerifyLattice, EveryWeightIsCounted) {
  weights_.write(folder_ / "a", Form::kBF16);
  const Scheme scheme = block_scheme();
  uint64_t all = 0, counted = 0, done = 0, total = 0;
  for (const TensorSpec& spec : expected_tensors(weights_.model.config)) {
    all += static_cast<uint64_t>(*element_count(spec.shape));
  }
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "a").value();
  const LatticeReport report = check_lattice(checkpoint, &scheme, 1, [&](uint64_t now, uint64_t of) {
                                 EXPECT_GT(now, done);
                                 done = now;
                                 total = of;
                                 return true;
                               }).value();
  for (const TensorOnLattice& tensor : report.tensors) counted += tensor.weights;
  EXPECT_EQ(counted + report.other_weights, all);
  EXPECT_EQ(done, all);
  EXPECT_EQ(total, all);
}

TEST_F(VerifyLattice, OneUnitInOneValueIsFoundWithItsGroup) {
  const Scheme scheme = block_scheme();
  for (const Form form : {Form::kF32, Form::kBF16}) {
    float changed = 0;
    weights_.write(folder_ / "changed", form, [&](const std::string& name, std::vector<float>& values) {
      if (name != kUp) return;
      // Of a large code, so that no other scale gives the whole group.
      for (size_t i = kPlace / 32 * 32; i < kPlace / 32 * 32 + 32; ++i) values[i] = static_cast<float>(i % 15) - 7.0f;
      changed = std::nextafter(3.0f, 4.0f);
      if (form == Form::kBF16) changed = float_from_bf16(static_cast<uint16_t>(bf16_from_float(3.0f) + 1));
      values[kPlace / 32 * 32 + 10] = changed;
    });
    for (const int threads : {1, 4}) {
      const LatticeReport report = check(folder_ / "changed", &scheme, threads).value();
      EXPECT_FALSE(report.on_lattice());
      for (const TensorOnLattice& tensor : report.tensors) EXPECT_EQ(tensor.on_lattice(), tensor.name != kUp);
      const TensorOnLattice& up = tensor_of(report, kUp);
      EXPECT_EQ(up.count.off_lattice, 1u);
      EXPECT_EQ(up.count.exact, 96u * 64 / 32 - 1);
      ASSERT_EQ(up.first.size(), 1u);
      EXPECT_EQ(up.first[0].row, 5);
      EXPECT_EQ(up.first[0].column, 32);
      EXPECT_FALSE(up.first[0].scale_unfit);
    }
  }
}

TEST_F(VerifyLattice, AScaleThatBlocksCannotHoldIsToldApart) {
  weights_.tensors[kUp].scales[3] = 0x1p20f;
  weights_.write(folder_ / "codes", Form::kCompressedTensors);
  const Scheme blocks = block_scheme(), codes = grouped_scheme();
  const LatticeReport report = check(folder_ / "codes", &blocks).value();
  EXPECT_FALSE(report.on_lattice());
  const TensorOnLattice& up = tensor_of(report, kUp);
  EXPECT_EQ(up.count.scale_unfit, 1u);
  EXPECT_EQ(up.count.off_lattice, 0u);
  ASSERT_EQ(up.first.size(), 1u);
  EXPECT_TRUE(up.first[0].scale_unfit);
  EXPECT_EQ(up.first[0].row, 1);
  EXPECT_EQ(up.first[0].column, 32);
  EXPECT_TRUE(check(folder_ / "codes", &codes).value().on_lattice());
}

TEST_F(VerifyLattice, OrdinaryFloatsAreNot) {
  const TinyModel model;
  ASSERT_TRUE(model.write(folder_ / "float", "f32").ok());
  const LatticeReport report = check(folder_ / "float", built_in_scheme("q4_0")).value();
  EXPECT_FALSE(report.on_lattice());
  const TensorOnLattice& up = tensor_of(report, kUp);
  EXPECT_GT(up.count.off_lattice, up.count.groups * 9 / 10);
  EXPECT_EQ(up.first.size(), 5u);
}

TEST_F(VerifyLattice, NarrowFloatsAreAskedOfEveryValue) {
  weights_.write(folder_ / "bf16", Form::kBF16);
  weights_.write(folder_ / "f32", Form::kF32);
  const LatticeReport narrow = check(folder_ / "bf16", built_in_scheme("bf16")).value();
  EXPECT_TRUE(narrow.on_lattice());
  EXPECT_TRUE(tensor_of(narrow, kUp).by_type);
  const LatticeReport wide = check(folder_ / "f32", built_in_scheme("bf16")).value();
  EXPECT_FALSE(wide.on_lattice());
  EXPECT_FALSE(tensor_of(wide, kUp).by_type);
  EXPECT_TRUE(tensor_of(wide, "model.embed_tokens.weight").on_lattice());
  weights_.write(folder_ / "a.gguf", Form::kBlocks);
  EXPECT_FALSE(check(folder_ / "a.gguf", built_in_scheme("bf16")).value().on_lattice());
}

TEST_F(VerifyLattice, RowsOfCodesAndMissingQuantizers) {
  const TinyShape shape;
  Scheme scheme = coded_scheme(shape);
  const CodedModel model(shape, scheme, 1);
  ASSERT_TRUE(model.write(folder_ / "codes", Container::kSafetensors).ok());
  const LatticeReport stored = check(folder_ / "codes", &scheme).value();
  EXPECT_TRUE(stored.on_lattice());
  EXPECT_TRUE(stored.missing_quantizers.empty());
  EXPECT_TRUE(tensor_of(stored, kUp).by_type);
  EXPECT_EQ(tensor_of(stored, kUp).lattice, "I2 row");
  EXPECT_EQ(tensor_of(stored, "model.embed_tokens_per_layer.weight").lattice, "I4 group 32");
  const LatticeReport own = check(folder_ / "codes", nullptr).value();
  EXPECT_TRUE(own.on_lattice());
  EXPECT_EQ(tensor_of(own, "model.layers.0.per_layer_input_gate.weight").lattice, "I8 row");

  ASSERT_TRUE(write_edited(folder_ / "codes", folder_ / "floats", [](const std::string&, auto&) {}).ok());
  const LatticeReport found = check(folder_ / "floats", &scheme).value();
  EXPECT_TRUE(found.on_lattice());
  EXPECT_FALSE(tensor_of(found, kUp).by_type);
  EXPECT_EQ(tensor_of(found, kUp).count.groups, 96u);

  const Scheme without = {"without", {{"*mlp.*_proj.weight", DType::kI2, 0, true}}, true};
  const TinyModel floats;
  ASSERT_TRUE(floats.write(folder_ / "none", "f32").ok());
  EXPECT_EQ(check(folder_ / "none", &without).value().missing_quantizers.size(), 6u * 3 * 2 + 4 * 2);
}

TEST_F(VerifyLattice, WithoutASchemeTheTypesAreAsked) {
  weights_.write(folder_ / "a.gguf", Form::kBlocks);
  weights_.write(folder_ / "float", Form::kBF16);
  EXPECT_TRUE(stores_lattice(Checkpoint::open(folder_ / "a.gguf").value()));
  EXPECT_FALSE(stores_lattice(Checkpoint::open(folder_ / "float").value()));
  const LatticeReport report = check(folder_ / "a.gguf", nullptr).value();
  EXPECT_TRUE(report.on_lattice());
  EXPECT_TRUE(tensor_of(report, kUp).by_type);
  for (const TensorOnLattice& tensor : report.tensors) EXPECT_EQ(tensor.type, "Q4_0");
}

TEST_F(VerifyLattice, RefusesWhatIsNotFinite) {
  for (const std::string& place : {kUp, std::string("model.norm.weight")}) {
    weights_.write(folder_ / "nan", Form::kF32, [&](const std::string& name, std::vector<float>& values) {
      if (name == place) values[9] = std::numeric_limits<float>::quiet_NaN();
    });
    const Scheme scheme = block_scheme();
    for (const int threads : {1, 4}) {
      const auto report = check(folder_ / "nan", &scheme, threads);
      ASSERT_FALSE(report.ok());
      EXPECT_EQ(report.error().kind, ErrorKind::kRefused);
      EXPECT_NE(report.error().message.find(place + ": the value in row 0, column 9 is nan"), std::string::npos)
          << report.error().message;
    }
  }
}

TEST_F(VerifyLattice, RefusesGroupsThatDoNotDivideTheRows) {
  weights_.write(folder_ / "a", Form::kF32);
  const Scheme scheme = {"odd", {{"*up_proj.weight", DType::kI4, 48}}};
  const auto report = check(folder_ / "a", &scheme);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("groups of 48"), std::string::npos);
}

TEST_F(VerifyLattice, RefusesASchemeThatNamesNoTensor) {
  weights_.write(folder_ / "a", Form::kF32);
  const Scheme scheme = {"elsewhere", {{"*.nothing", DType::kQ4_0}}};
  const auto report = check(folder_ / "a", &scheme);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("no rule of the scheme \"elsewhere\" names a tensor"), std::string::npos)
      << report.error().message;
}

TEST_F(VerifyLattice, SamplesTellWhatFloatsWereQuantizedTo) {
  const auto share = [&](const std::filesystem::path& path, const std::string& lattice) {
    for (const LatticeSample& sample : sample_lattices(Checkpoint::open(path).value())) {
      if (sample.lattice == lattice) return sample.share();
    }
    return -1.0;
  };
  const TinyModel model;
  ASSERT_TRUE(model.write(folder_ / "q4_0", "q4_0").ok());
  ASSERT_TRUE(model.write(folder_ / "q8_0", "q8_0").ok());
  ASSERT_TRUE(model.write(folder_ / "f32", "f32").ok());
  EXPECT_EQ(share(folder_ / "q4_0", "Q4_0"), 1.0);
  EXPECT_EQ(share(folder_ / "q8_0", "Q8_0"), 1.0);
  EXPECT_LT(share(folder_ / "q8_0", "Q4_0"), 0.01);
  EXPECT_LT(share(folder_ / "q4_0", "I4 row"), 0.1);
  EXPECT_LT(share(folder_ / "f32", "Q4_0"), 0.01);
}

}  // namespace
}  // namespace carat
