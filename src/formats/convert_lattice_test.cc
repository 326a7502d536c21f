#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/file_map.h"
#include "base/file_write.h"
#include "formats/convert.h"
#include "formats/scheme_json.h"
#include "lattice/codes.h"
#include "lattice/recarry.h"
#include "tests/support/coded_model.h"
#include "tests/support/converted.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/lattice_rules.h"

// Weights that lie on a lattice, through every container that can hold it: none moves. What would move one is refused.

namespace carat {
namespace {

std::string message_of(const Result<Conversion>& conversion) {
  return conversion.ok() ? std::string() : conversion.error().message;
}

/// The same types and numbers, and so, but for the signs of zeros, the same bytes.
void expect_same_weights(const std::filesystem::path& a, const std::filesystem::path& b, const std::string& route) {
  const Checkpoint expected = Checkpoint::open(a).value(), found = Checkpoint::open(b).value();
  ASSERT_EQ(found.tensors().size(), expected.tensors().size()) << route;
  for (const auto& [name, view] : expected.tensors()) {
    EXPECT_EQ(found.find(name)->dtype, view.dtype) << name << " " << route;
    EXPECT_TRUE(decode_tensor(*found.find(name)) == decode_tensor(view)) << name << " " << route;
  }
}

const ScaleRule& rule_named(std::string_view name) { return *std::ranges::find(kScaleRules, name, &ScaleRule::name); }

/// One way to keep the lattice.
struct Carrier {
  const char* name;
  std::optional<Container> container;
  const char* scheme;
};

const Carrier kCarriers[] = {{"bf16", Container::kSafetensors, "bf16"},
                             {"f32", Container::kSafetensors, "q4_0"},
                             {"q4_0.gguf", Container::kGguf, "q4_0"},
                             {"compressed-tensors", Container::kCompressedTensors, "q4_0"},
                             {"mlx", Container::kMlx, "q4_0"}};

class ConvertLattice : public testing::TestWithParam<ScaleRule> {
 protected:
  TemporaryFolder folder_;
};

TEST_P(ConvertLattice, EveryPairOfContainersHoldsTheSameWeights) {
  ASSERT_TRUE(write_on_lattice(folder_ / "source", TinyModel({}, 3), GetParam()).ok());
  for (const Carrier& from : kCarriers) {
    const std::filesystem::path start = folder_ / from.name;
    const ConvertOptions first = {.scheme = built_in_scheme(from.scheme), .container = from.container, .threads = 2};
    const auto made = convert(folder_ / "source", start, first);
    ASSERT_TRUE(made.ok()) << from.name << ": " << message_of(made);
    EXPECT_EQ(made.value().moved_weights, 0u) << from.name;
    EXPECT_EQ(made.value().rounded_groups, 0u) << from.name;
    for (const Carrier& to : kCarriers) {
      const std::string route = std::string(from.name) + " to " + to.name;
      const auto there = convert(start, folder_ / (std::string("2-") + to.name),
                                 {.scheme = built_in_scheme(to.scheme), .container = to.container});
      ASSERT_TRUE(there.ok()) << route << ": " << message_of(there);
      EXPECT_EQ(there.value().moved_weights, 0u) << route;
      const auto back = convert(folder_ / (std::string("2-") + to.name), folder_ / "back",
                                {.scheme = built_in_scheme("bf16"), .container = Container::kSafetensors});
      ASSERT_TRUE(back.ok()) << route << ": " << message_of(back);
      EXPECT_EQ(back.value().moved_weights, 0u) << route;
      expect_same_weights(folder_ / "source", folder_ / "back", route);
    }
  }
}

TEST_P(ConvertLattice, WithoutASchemeARecordedOneStays) {
  ASSERT_TRUE(write_on_lattice(folder_ / "source", TinyModel({}, 4), GetParam()).ok());
  ASSERT_TRUE(convert(folder_ / "source", folder_ / "a.gguf", {.scheme = built_in_scheme("q4_0")}).ok());
  const ConvertOptions compressed = {.container = Container::kCompressedTensors};
  EXPECT_EQ(convert(folder_ / "a.gguf", folder_ / "ct", compressed).value().scheme, "q4_0");
  const Conversion image = convert(folder_ / "ct", folder_ / "bf16", {.scheme = built_in_scheme("bf16")}).value();
  EXPECT_EQ(image.scheme, "q4_0");
  expect_same_weights(folder_ / "source", folder_ / "bf16", "to an image");
  const Checkpoint opened = Checkpoint::open(folder_ / "bf16").value();
  EXPECT_EQ(opened.config().scheme, "q4_0");
  EXPECT_EQ(opened.find("model.norm.weight")->dtype, DType::kBF16);
  const Conversion last = convert(folder_ / "bf16", folder_ / "b.gguf").value();
  EXPECT_EQ(last.moved_weights, 0u);
  EXPECT_GT(last.recovered_groups, 0u);
  EXPECT_TRUE(read_text_file(folder_ / "a.gguf", size_t{1} << 28).value() ==
              read_text_file(folder_ / "b.gguf", size_t{1} << 28).value());
}

INSTANTIATE_TEST_SUITE_P(Rules, ConvertLattice,
                         testing::Values(rule_named("signed_8_bf16"), rule_named("absmax_7_5_bf16"),
                                         rule_named("absmax_8")),
                         [](const auto& rule) { return std::string(rule.param.name); });

class LeavingALattice : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_on_lattice(folder_ / "source", model_, rule_named("absmax_7_5_bf16")).ok());
  }

  /// The source with one value of `name` moved to the next bfloat16 number.
  void move_one(const std::string& name, size_t index) {
    const Checkpoint source = Checkpoint::open(folder_ / "source").value();
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
      const Bytes data = source.find(spec.name)->data;
      std::vector<std::byte> bytes(data.begin(), data.end());
      if (spec.name == name) bytes[2 * index] ^= std::byte{1};
      return sink(bytes);
    };
    ASSERT_TRUE(write_checkpoint(folder_ / "edited", model_.config, model_.vocabulary, specs_of(source), produce).ok());
  }

  void expect_refused(const std::filesystem::path& input, const std::filesystem::path& target,
                      const ConvertOptions& options, const std::vector<std::string>& parts) {
    const auto conversion = convert(input, target, options);
    ASSERT_FALSE(conversion.ok()) << target;
    EXPECT_EQ(conversion.error().kind, ErrorKind::kRefused);
    for (const std::string& part : parts) {
      EXPECT_NE(message_of(conversion).find(part), std::string::npos) << part << "\nin " << message_of(conversion);
    }
    EXPECT_FALSE(std::filesystem::exists(target));
  }

  TemporaryFolder folder_;
  TinyModel model_{{.hidden = 256}, 5};
  const Scheme* q4_0_ = built_in_scheme("q4_0");
};

TEST_F(LeavingALattice, OneValueThatIsOffByOneUnitIsNamed) {
  // A tensor that is small enough for all its groups to be looked at, and one that is not.
  move_one("model.layers.2.per_layer_projection.weight", 32 * 5 + 7);
  for (const Container container : {Container::kGguf, Container::kCompressedTensors}) {
    expect_refused(
        folder_ / "edited", folder_ / "out", {.scheme = q4_0_, .container = container},
        {"layers.2.per_layer_projection.weight", "row 5, columns 0 to 31", "--requantize", "carat verify", "on Q4_0"});
  }
  move_one("model.layers.1.mlp.up_proj.weight", 256 * 70 + 130);
  expect_refused(folder_ / "edited", folder_ / "out.gguf", {.scheme = q4_0_},
                 {"model.layers.1.mlp.up_proj.weight", "row 70, columns 128 to 159", "--requantize"});
}

TEST_F(LeavingALattice, WithTheFlagOnlyTheGroupThatIsOffMoves) {
  move_one("model.layers.1.mlp.up_proj.weight", 256 * 70 + 130);
  const Conversion exact = convert(folder_ / "source", folder_ / "exact.gguf", {.scheme = q4_0_}).value();
  const Conversion rounded =
      convert(folder_ / "edited", folder_ / "out.gguf", {.scheme = q4_0_, .requantize = true}).value();
  EXPECT_EQ(rounded.rounded_groups, 1u);
  EXPECT_EQ(rounded.recovered_groups + 1, exact.recovered_groups);
  EXPECT_GT(rounded.moved_weights, 0u);
  EXPECT_LE(rounded.moved_weights, 32u);
  EXPECT_GT(rounded.largest_move, 0.0);
  EXPECT_GT(rounded.relative_rms_move, 0.0);
  EXPECT_LT(rounded.relative_rms_move, 0.05);
  const Checkpoint a = Checkpoint::open(folder_ / "exact.gguf").value();
  const Checkpoint b = Checkpoint::open(folder_ / "out.gguf").value();
  for (const auto& [name, view] : a.tensors()) {
    const Bytes other = b.find(name)->data;
    size_t different = 0;
    for (size_t i = 0; i < view.data.size(); ++i) different += view.data[i] != other[i];
    EXPECT_LE(different, name == "model.layers.1.mlp.up_proj.weight" ? 18u : 0u) << name;
  }
}

TEST_F(LeavingALattice, AnotherLatticeTakesTheFlag) {
  const Scheme codes =
      scheme_from_json(R"({"name": "rows", "rules": [{"match": "*_proj.weight", "lattice": "I4"}]})", "s").value();
  ASSERT_TRUE(convert(folder_ / "source", folder_ / "q4_0.gguf", {.scheme = q4_0_}).ok());
  for (const char* input : {"source", "q4_0.gguf"}) {
    expect_refused(folder_ / input, folder_ / "rows", {.scheme = &codes}, {"--requantize", "row 0, columns 0 to 255"});
    const Conversion rounded =
        convert(folder_ / input, folder_ / "rounded", {.scheme = &codes, .requantize = true}).value();
    EXPECT_GT(rounded.moved_weights, 0u);
    EXPECT_EQ(rounded.recovered_groups, 0u);
  }
  ASSERT_TRUE(TinyModel({}, 6).write(folder_ / "q8_0.gguf", "q8_0").ok());
  expect_refused(folder_ / "q8_0.gguf", folder_ / "out.gguf", {.scheme = q4_0_}, {"token_embd.weight: row 0, columns"});
  expect_refused(folder_ / "q8_0.gguf", folder_ / "out", {.scheme = built_in_scheme("bf16")},
                 {"token_embd.weight: the value in row ", "--scheme f32"});
}

TEST_F(LeavingALattice, AWiderLatticeHoldsTheSameWeights) {
  for (const char* input : {"source", "q4_0.gguf"}) {
    const Conversion wide =
        convert(folder_ / input, folder_ / "q8_0.gguf", {.scheme = built_in_scheme("q8_0")}).value();
    EXPECT_EQ(wide.moved_weights, 0u);
    EXPECT_GT(wide.recovered_groups, 0u);
    if (input == std::string("source")) {
      ASSERT_TRUE(convert(folder_ / "source", folder_ / "q4_0.gguf", {.scheme = q4_0_}).ok());
    }
  }
  const Conversion back = convert(folder_ / "q8_0.gguf", folder_ / "again.gguf", {.scheme = q4_0_}).value();
  EXPECT_EQ(back.moved_weights, 0u);
  EXPECT_TRUE(read_text_file(folder_ / "again.gguf", size_t{1} << 28).value() ==
              read_text_file(folder_ / "q4_0.gguf", size_t{1} << 28).value());
}

TEST_F(LeavingALattice, BlocksOfEightBitsAreCodesBesideScalesToo) {
  ASSERT_TRUE(TinyModel({}, 6).write(folder_ / "a.gguf", "q8_0").ok());
  const Conversion there =
      convert(folder_ / "a.gguf", folder_ / "ct", {.container = Container::kCompressedTensors}).value();
  EXPECT_EQ(there.moved_weights, 0u);
  EXPECT_EQ(there.scheme, "q8_0");
  EXPECT_EQ(Checkpoint::open(folder_ / "ct").value().find("model.layers.0.mlp.up_proj.weight")->dtype, DType::kI8);
  EXPECT_EQ(convert(folder_ / "ct", folder_ / "b.gguf").value().moved_weights, 0u);
  expect_same_weights(folder_ / "a.gguf", folder_ / "b.gguf", "q8_0");
}

TEST_F(LeavingALattice, ExpertsStayOnTheirs) {
  const TinyModel experts(
      {.pattern = "SF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .full_kv_heads = 1, .experts = 4}, 7);
  ASSERT_TRUE(write_on_lattice(folder_ / "experts", experts, rule_named("signed_8_bf16")).ok());
  ASSERT_TRUE(convert(folder_ / "experts", folder_ / "a.gguf", {.scheme = q4_0_}).ok());
  const std::string name = "model.layers.0.experts.gate_up_proj";
  for (const Container container : {Container::kMlx, Container::kCompressedTensors, Container::kSafetensors}) {
    const std::string route(container_name(container));
    const auto there = convert(folder_ / "a.gguf", folder_ / "there", {.container = container});
    ASSERT_TRUE(there.ok()) << route << " " << message_of(there);
    EXPECT_EQ(there.value().moved_weights, 0u) << route;
    const auto image = convert(folder_ / "there", folder_ / "bf16", {.scheme = built_in_scheme("bf16")});
    ASSERT_TRUE(image.ok()) << route << " " << message_of(image);
    expect_same_weights(folder_ / "experts", folder_ / "bf16", route);
    const auto back = convert(folder_ / "there", folder_ / "b.gguf");
    ASSERT_TRUE(back.ok()) << route << " " << message_of(back);
    EXPECT_EQ(back.value().moved_weights, 0u);
    // Gates and ups may lie apart in it, so that names differ.
    ASSERT_TRUE(convert(folder_ / "b.gguf", folder_ / "bf16", {.scheme = built_in_scheme("bf16")}).ok());
    expect_same_weights(folder_ / "experts", folder_ / "bf16", route + " and GGUF");
  }
}

TEST_F(LeavingALattice, OrdinaryFloatsAreRoundedWithoutTheFlag) {
  ASSERT_TRUE(model_.write(folder_ / "float", "bf16").ok());
  const Conversion rounded = convert(folder_ / "float", folder_ / "out.gguf", {.scheme = q4_0_}).value();
  EXPECT_GT(rounded.moved_weights, 0u);
  EXPECT_GT(rounded.rounded_groups, 0u);
  EXPECT_EQ(rounded.recovered_groups, 0u);
  EXPECT_GT(rounded.relative_rms_move, 0.02);
}

TEST_F(LeavingALattice, OneScaleThatBFloat16CannotHoldMakesTheScalesOfItsTensorWide) {
  ASSERT_TRUE(convert(folder_ / "source", folder_ / "a.gguf", {.scheme = q4_0_}).ok());
  const std::string name = "model.embed_tokens.weight";
  std::string bytes = read_text_file(folder_ / "a.gguf", size_t{1} << 28).value();
  const Checkpoint file = Checkpoint::open(folder_ / "a.gguf").value();
  const uint64_t place = file.place_of(file.find(name)->data)->offset + 18 * 3;
  bytes[place] = static_cast<char>(bytes[place] | 1);  // the last bit of a binary16 scale
  ASSERT_TRUE(write_file(folder_ / "b.gguf", bytes).ok());
  const ConvertOptions compressed = {.container = Container::kCompressedTensors};
  const Conversion there = convert(folder_ / "b.gguf", folder_ / "ct", compressed).value();
  EXPECT_EQ(there.moved_weights, 0u);
  const Checkpoint made = Checkpoint::open(folder_ / "ct").value();
  EXPECT_EQ(made.find(name)->scales.dtype, DType::kF32);
  EXPECT_EQ(made.find("model.layers.0.mlp.up_proj.weight")->scales.dtype, DType::kBF16);
  ASSERT_TRUE(convert(folder_ / "ct", folder_ / "back.gguf").ok());
  EXPECT_EQ(decode_tensor(*Checkpoint::open(folder_ / "back.gguf").value().find(name)),
            decode_tensor(*Checkpoint::open(folder_ / "b.gguf").value().find(name)));
}

TEST_F(LeavingALattice, BlocksOfAnyProgramGoThroughAFolderAndBack) {
  // Scales of eleven bits, either sign, any codes: no quantizer of ours makes such blocks.
  std::vector<TensorSpec> tensors = expected_tensors(model_.config);
  for (TensorSpec& spec : tensors) {
    spec.dtype = storable(Container::kGguf, q4_0_->lattice_of(spec.name), spec.name, spec.shape);
  }
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
    std::mt19937 random(static_cast<uint32_t>(spec.name.size()));
    std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
    if (spec.dtype != DType::kQ4_0) return sink(stored);
    for (std::byte& byte : stored) byte = static_cast<std::byte>(random());
    for (size_t block = 0; block < stored.size(); block += 18) stored[block + 1] &= std::byte{0xbf};
    return sink(stored);
  };
  ASSERT_TRUE(write_checkpoint(folder_ / "a.gguf", model_.config, model_.vocabulary, tensors, produce).ok());
  for (const Container container : {Container::kSafetensors, Container::kCompressedTensors, Container::kMlx}) {
    const ConvertOptions options = {.container = container};
    ASSERT_TRUE(convert(folder_ / "a.gguf", folder_ / "there", options).ok());
    const auto back = convert(folder_ / "there", folder_ / "b.gguf");
    ASSERT_TRUE(back.ok()) << message_of(back);
    EXPECT_EQ(back.value().moved_weights, 0u);
    const Checkpoint a = Checkpoint::open(folder_ / "a.gguf").value(), b = Checkpoint::open(folder_ / "b.gguf").value();
    for (const auto& [name, view] : a.tensors()) {
      EXPECT_EQ(b.find(name)->dtype, view.dtype) << name;
      EXPECT_EQ(decode_tensor(*b.find(name)), decode_tensor(view)) << name << " " << container_name(container);
    }
  }
}

}  // namespace
}  // namespace carat
