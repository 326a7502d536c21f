#include "formats/convert.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/file_map.h"
#include "formats/scheme_json.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

bool go_on(uint64_t, uint64_t) { return true; }

Result<Conversion> convert(const std::filesystem::path& input, const std::filesystem::path& target,
                           const char* scheme = nullptr, bool requantize = false) {
  CARAT_TRY(const Checkpoint checkpoint, Checkpoint::open(input));
  const Scheme* asked = scheme == nullptr ? nullptr : built_in_scheme(scheme);
  return convert_checkpoint(checkpoint, target, {.scheme = asked, .requantize = requantize}, go_on);
}

std::string content(const std::filesystem::path& path) { return read_text_file(path, size_t{1} << 28).value(); }

/// Bits of every weight, in order.
std::vector<std::vector<float>> weights(const std::filesystem::path& path) {
  const Checkpoint checkpoint = Checkpoint::open(path).value();
  std::vector<std::vector<float>> values;
  for (const NamedTensor& tensor : checkpoint.tensors()) values.push_back(decode_tensor(tensor.view));
  return values;
}

class Convert : public testing::Test {
 protected:
  TemporaryFolder folder_;
  TinyModel model_{{}, 3};
};

TEST_F(Convert, ThereAndBackIsTheSameFile) {
  for (const char* scheme : {"f32", "f16", "bf16", "q8_0", "q4_0"}) {
    ASSERT_TRUE(model_.write(folder_ / "a.gguf", scheme).ok());
    const Conversion there = convert(folder_ / "a.gguf", folder_ / "folder").value();
    const Conversion back = convert(folder_ / "folder", folder_ / "b.gguf").value();
    EXPECT_EQ(there.moved_weights, 0u);
    EXPECT_EQ(back.moved_weights, 0u);
    EXPECT_EQ(back.scheme, scheme);
    EXPECT_EQ(content(folder_ / "a.gguf"), content(folder_ / "b.gguf")) << scheme;
  }
}

TEST_F(Convert, RoundsAsTheLatticeDoes) {
  ASSERT_TRUE(model_.write(folder_ / "float", "f32").ok());
  ASSERT_TRUE(model_.write(folder_ / "wanted.gguf", "q4_0").ok());
  const Conversion conversion = convert(folder_ / "float", folder_ / "rounded.gguf", "q4_0").value();
  EXPECT_EQ(content(folder_ / "rounded.gguf"), content(folder_ / "wanted.gguf"));
  EXPECT_EQ(conversion.scheme, "q4_0");

  uint64_t moved = 0;
  const auto before = weights(folder_ / "float");
  const auto after = weights(folder_ / "wanted.gguf");
  ASSERT_EQ(before.size(), after.size());
  EXPECT_EQ(conversion.tensors, static_cast<int64_t>(before.size()));
  for (size_t t = 0; t < before.size(); ++t) {
    for (size_t i = 0; i < before[t].size(); ++i) {
      moved += before[t][i] != after[t][i];
    }
  }
  EXPECT_GT(moved, 0u);
  EXPECT_EQ(conversion.moved_weights, moved);
}

TEST_F(Convert, AFolderOfARoundedModelHoldsTheRoundedWeights) {
  ASSERT_TRUE(model_.write(folder_ / "float", "f32").ok());
  ASSERT_TRUE(convert(folder_ / "float", folder_ / "rounded", "q4_0").ok());
  ASSERT_TRUE(model_.write(folder_ / "wanted.gguf", "q4_0").ok());
  EXPECT_EQ(weights(folder_ / "rounded"), weights(folder_ / "wanted.gguf"));
}

TEST_F(Convert, RefusesARecordedSchemeThatTheWeightsDoNotLieOn) {
  ASSERT_TRUE(model_.write(folder_ / "folder", "q4_0").ok());
  ASSERT_TRUE(write_edited(folder_ / "folder", folder_ / "edited", [](const std::string& name, auto& values) {
                if (name == "model.layers.1.mlp.up_proj.weight") values[70] = values[70] * 1.01f + 1e-3f;
              }).ok());
  const auto conversion = convert(folder_ / "edited", folder_ / "out.gguf");
  ASSERT_FALSE(conversion.ok());
  EXPECT_EQ(conversion.error().kind, ErrorKind::kRefused);
  EXPECT_NE(conversion.error().message.find("model.layers.1.mlp.up_proj.weight"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.gguf"));
  const Conversion rounded = convert(folder_ / "edited", folder_ / "out.gguf", nullptr, true).value();
  EXPECT_EQ(rounded.rounded_groups, 1u);
  EXPECT_GT(rounded.moved_weights, 0u);
  EXPECT_LE(rounded.moved_weights, 32u);
}

TEST_F(Convert, RefusesWhatIsNotFinite) {
  for (const float broken : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    ASSERT_TRUE(model_.write(folder_ / "folder", "f32").ok());
    ASSERT_TRUE(write_edited(folder_ / "folder", folder_ / "edited", [&](const std::string& name, auto& values) {
                  if (name == "model.embed_tokens.weight") values[65] = broken;
                }).ok());
    for (const char* scheme : {static_cast<const char*>(nullptr), "f32", "q4_0"}) {
      const auto conversion = convert(folder_ / "edited", folder_ / "out.gguf", scheme);
      ASSERT_FALSE(conversion.ok());
      EXPECT_EQ(conversion.error().kind, ErrorKind::kRefused);
      EXPECT_NE(conversion.error().message.find("model.embed_tokens.weight: the value in row 1, column 1 "),
                std::string::npos)
          << conversion.error().message;
    }
  }
}

TEST_F(Convert, NamesWhatIsNotFiniteAsTheFileDoes) {
  ASSERT_TRUE(model_.write(folder_ / "folder", "f32").ok());
  ASSERT_TRUE(write_edited(folder_ / "folder", folder_ / "edited.gguf", [](const std::string& name, auto& values) {
                if (name == "model.layers.0.mlp.up_proj.weight") values[65] = std::numeric_limits<float>::infinity();
              }).ok());
  const auto conversion = convert(folder_ / "edited.gguf", folder_ / "out.gguf");
  ASSERT_FALSE(conversion.ok());
  EXPECT_NE(conversion.error().message.find("blk.0.ffn_up.weight: the value in row 1, column 1 is inf"),
            std::string::npos)
      << conversion.error().message;
}

TEST_F(Convert, StopsWhenAskedAndLeavesNothing) {
  ASSERT_TRUE(model_.write(folder_ / "a.gguf", "f32").ok());
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "a.gguf").value();
  int calls = 0;
  const auto conversion =
      convert_checkpoint(checkpoint, folder_ / "b.gguf", {}, [&](uint64_t, uint64_t) { return ++calls < 3; });
  ASSERT_FALSE(conversion.ok());
  EXPECT_EQ(conversion.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(Convert, ProgressCountsEveryWeightOnce) {
  ASSERT_TRUE(model_.write(folder_ / "a.gguf", "f32").ok());
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "a.gguf").value();
  uint64_t expected = 0, last = 0, total = 0;
  for (const auto& values : weights(folder_ / "a.gguf")) expected += values.size();
  ASSERT_TRUE(convert_checkpoint(checkpoint, folder_ / "b", {}, [&](uint64_t done, uint64_t of) {
                EXPECT_GT(done, last);
                last = done;
                total = of;
                return true;
              }).ok());
  EXPECT_EQ(last, expected);
  EXPECT_EQ(total, expected);
}

TEST_F(Convert, InfersTheSchemeFromTheTypes) {
  for (const char* scheme : {"f32", "f16", "bf16", "q8_0", "q4_0"}) {
    model_.config.scheme.clear();
    ASSERT_TRUE(model_.write(folder_ / "named.gguf", scheme).ok());
    EXPECT_EQ(scheme_of(Checkpoint::open(folder_ / "named.gguf").value()), scheme);
  }
}

const TinyShape kExperts = {.pattern = "SF",
                            .shared = 0,
                            .hidden = 256,
                            .per_layer_width = 0,
                            .value_is_key = true,
                            .full_kv_heads = 1,
                            .experts = 4};

/// Writes a model with every matrix in the block type `dtype`, of which bytes are made up, and the scheme
/// `recorded`. With `apart` the gates and ups of the experts are two tensors.
void write_blocks(const std::filesystem::path& path, DType dtype, bool apart, const std::string& recorded = {}) {
  TinyModel model(kExperts);
  model.config.scheme = recorded;
  std::vector<TensorSpec> tensors;
  for (TensorSpec& spec : expected_tensors(model.config)) {
    if (spec.shape.back() % block_elements(dtype) == 0) {
      spec.dtype = storable(Container::kGguf, dtype, spec.name, spec.shape);
    }
    const std::string prefix = spec.name.substr(0, spec.name.rfind('.') + 1);
    if (apart && spec.name.ends_with("gate_up_proj")) {
      const Shape half = {spec.shape[0], spec.shape[1] / 2, spec.shape[2]};
      tensors.push_back({prefix + "gate_proj", dtype, half});
      tensors.push_back({prefix + "up_proj", dtype, half});
    } else {
      tensors.push_back(std::move(spec));
    }
  }
  const auto produce = [](const TensorSpec& spec, const ByteSink& sink) {
    std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
    // No byte pair of these is an infinity or a NaN in binary16, whichever pair is a scale.
    for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<std::byte>((i * i + spec.name.size()) % 59);
    return sink(stored);
  };
  ASSERT_TRUE(write_checkpoint(path, model.config, model.vocabulary, tensors, produce).ok());
}

TEST_F(Convert, BlocksThatAreOnlyReadStayAsTheyAreInGguf) {
  for (const DType dtype : {DType::kQ4_K, DType::kQ6_K, DType::kQ5_1, DType::kTQ2_0}) {
    for (const bool apart : {false, true}) {
      write_blocks(folder_ / "a.gguf", dtype, apart);
      const Conversion conversion = convert(folder_ / "a.gguf", folder_ / "b.gguf").value();
      EXPECT_EQ(content(folder_ / "a.gguf"), content(folder_ / "b.gguf")) << dtype_name(dtype);
      EXPECT_EQ(conversion.moved_weights, 0u);
      EXPECT_EQ(conversion.scheme, "");
    }
  }
}

TEST_F(Convert, ASchemeFromBeforeAnotherProgramRoundedDoesNotCount) {
  for (const char* recorded : {"f32", "f16", "q4_0"}) {
    write_blocks(folder_ / "a.gguf", DType::kQ6_K, false, recorded);
    write_blocks(folder_ / "unnamed.gguf", DType::kQ6_K, false);
    EXPECT_EQ(scheme_of(Checkpoint::open(folder_ / "a.gguf").value()), "");
    const Conversion conversion = convert(folder_ / "a.gguf", folder_ / "b.gguf").value();
    EXPECT_EQ(conversion.moved_weights, 0u);
    EXPECT_EQ(content(folder_ / "b.gguf"), content(folder_ / "unnamed.gguf")) << recorded;
  }
}

TEST_F(Convert, BlocksThatAreOnlyReadBecomeFloatsInAFolder) {
  write_blocks(folder_ / "a.gguf", DType::kQ4_K, false);
  ASSERT_TRUE(convert(folder_ / "a.gguf", folder_ / "b").ok());
  EXPECT_EQ(weights(folder_ / "a.gguf"), weights(folder_ / "b"));
  const Checkpoint folder = Checkpoint::open(folder_ / "b").value();
  EXPECT_EQ(folder.find("model.layers.0.experts.gate_up_proj")->dtype, DType::kF32);
}

TEST_F(Convert, AFolderHasTheGatesAndUpsOfAnExpertTogether) {
  write_blocks(folder_ / "a.gguf", DType::kQ6_K, true);
  const Conversion conversion = convert(folder_ / "a.gguf", folder_ / "b").value();
  const Checkpoint input = Checkpoint::open(folder_ / "a.gguf").value();
  const Checkpoint output = Checkpoint::open(folder_ / "b").value();
  EXPECT_EQ(conversion.tensors, static_cast<int64_t>(output.tensors().size()));
  for (const std::string layer : {"model.layers.0.experts.", "model.layers.1.experts."}) {
    const std::vector<float> gate = decode_tensor(*input.find(layer + "gate_proj"));
    const std::vector<float> up = decode_tensor(*input.find(layer + "up_proj"));
    const std::vector<float> merged = decode_tensor(*output.find(layer + "gate_up_proj"));
    const size_t count = gate.size() / 4;
    ASSERT_EQ(merged.size(), 8 * count);
    for (size_t i = 0; i < merged.size(); ++i) {
      const size_t expert = i / (2 * count);
      const size_t place = i % (2 * count);
      const std::vector<float>& part = place < count ? gate : up;
      ASSERT_EQ(merged[i], part[expert * count + place % count]) << i;
    }
  }
}

TEST_F(Convert, ExpertsAreRoundedAlongTheirRows) {
  const TinyModel experts(kExperts, 5);
  ASSERT_TRUE(experts.write(folder_ / "float", "f32").ok());
  ASSERT_TRUE(experts.write(folder_ / "wanted.gguf", "q4_0").ok());
  ASSERT_TRUE(convert(folder_ / "float", folder_ / "rounded.gguf", "q4_0").ok());
  EXPECT_EQ(content(folder_ / "rounded.gguf"), content(folder_ / "wanted.gguf"));
  const Checkpoint rounded = Checkpoint::open(folder_ / "rounded.gguf").value();
  EXPECT_EQ(rounded.find("model.layers.0.experts.down_proj")->dtype, DType::kQ4_0);
  EXPECT_EQ(rounded.find("model.layers.0.router.proj.weight")->dtype, DType::kF32);
}

TEST_F(Convert, ARouterIsFloatInGgufWhateverTheFolderHas) {
  const TinyModel experts(kExperts);
  ASSERT_TRUE(experts.write(folder_ / "float", "f32").ok());
  const Scheme narrow =
      scheme_from_json(R"({"name": "narrow", "rules": [{"match": "*", "lattice": "BF16"}]})", "s").value();
  const Checkpoint input = Checkpoint::open(folder_ / "float").value();
  ASSERT_TRUE(convert_checkpoint(input, folder_ / "narrow", {.scheme = &narrow}, go_on).ok());
  ASSERT_TRUE(convert(folder_ / "narrow", folder_ / "narrow.gguf").ok());
  const Checkpoint folder = Checkpoint::open(folder_ / "narrow").value();
  const Checkpoint file = Checkpoint::open(folder_ / "narrow.gguf").value();
  const std::string router = "model.layers.0.router.proj.weight";
  EXPECT_EQ(folder.find(router)->dtype, DType::kBF16);
  EXPECT_EQ(file.find(router)->dtype, DType::kF32);
  EXPECT_EQ(decode_tensor(*folder.find(router)), decode_tensor(*file.find(router)));
}

TEST_F(Convert, ACustomSchemeIsRecordedAndKept) {
  const Scheme scheme =
      scheme_from_json(R"({"name": "mixed", "rules": [{"match": "*mlp.*_proj.weight", "lattice": "Q4_0"}]})", "s")
          .value();
  ASSERT_TRUE(model_.write(folder_ / "float", "f32").ok());
  const Checkpoint input = Checkpoint::open(folder_ / "float").value();
  ASSERT_TRUE(convert_checkpoint(input, folder_ / "mixed.gguf", {.scheme = &scheme}, go_on).ok());
  const Checkpoint output = Checkpoint::open(folder_ / "mixed.gguf").value();
  EXPECT_EQ(scheme_of(output), "mixed");
  EXPECT_EQ(output.find("model.layers.0.mlp.up_proj.weight")->dtype, DType::kQ4_0);
  EXPECT_EQ(output.find("model.embed_tokens.weight")->dtype, DType::kF32);
}

}  // namespace
}  // namespace carat
