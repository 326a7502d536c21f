#include "formats/mlx.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "lattice/lattice.h"
#include "tests/support/mlx_model.h"
#include "tests/support/stored_folder.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

const TinyShape kShape = {.pattern = "SFSF", .shared = 2};
const TinyShape kExperts = {.pattern = "SF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 4};

constexpr const char* kProjection = "model.layers.0.self_attn.q_proj";

StoredFolder folder_of(const MlxModel& model) {
  return StoredFolder(mlx_layout(model.config, model.tensors, model.producer()).value());
}

Result<std::vector<NamedTensor>> read(StoredFolder& folder, const ModelConfig& config) {
  return tensors_of_mlx(folder.open(), folder.quantization, config, "folder");
}

std::map<std::string, NamedTensor> read_by_name(StoredFolder& folder, const ModelConfig& config) {
  std::map<std::string, NamedTensor> named;
  const std::vector<NamedTensor> tensors = read(folder, config).value();
  for (const NamedTensor& tensor : tensors) named[tensor.name] = tensor;
  return named;
}

std::string bytes_of(const MlxModel& model, const TensorSpec& spec) {
  std::string bytes;
  const Status produced = model.producer()(spec, [&](Bytes piece) {
    bytes += as_text(piece);
    return success();
  });
  CARAT_CHECK(produced.ok(), "a tensor");
  return bytes;
}

/// Part `index` of `count` of each of `matrices` that lie one after the other.
std::string part_of(const std::string& bytes, size_t matrices, size_t index, size_t count) {
  const size_t size = bytes.size() / matrices / count;
  std::string part;
  for (size_t m = 0; m < matrices; ++m) part += bytes.substr((m * count + index) * size, size);
  return part;
}

void expect_same(const MlxModel& model, const TensorSpec& spec, const TensorView& found, size_t index, size_t count) {
  const size_t matrices = spec.shape.size() == 3 ? static_cast<size_t>(spec.shape[0]) : 1;
  EXPECT_EQ(found.dtype, spec.dtype) << spec.name;
  EXPECT_EQ(found.scales.groups, spec.scale_groups) << spec.name;
  EXPECT_EQ(as_text(found.data), part_of(bytes_of(model, spec), matrices, index, count)) << spec.name;
  if (!is_code_type(spec.dtype)) return;
  EXPECT_EQ(found.scales.dtype, spec.scale_dtype) << spec.name;
  EXPECT_EQ(as_text(found.scales.data), part_of(bytes_of(model, scales_of(spec)), matrices, index, count)) << spec.name;
}

void expect_same_tensors(const MlxModel& model, const std::map<std::string, NamedTensor>& found) {
  size_t expected = 0;
  for (const TensorSpec& spec : model.tensors) {
    constexpr std::string_view kBoth = "gate_up_proj";
    if (!spec.name.ends_with(kBoth)) {
      ++expected;
      ASSERT_TRUE(found.contains(spec.name)) << spec.name;
      EXPECT_EQ(found.at(spec.name).view.shape, spec.shape) << spec.name;
      expect_same(model, spec, found.at(spec.name).view, 0, 1);
      continue;
    }
    const std::string experts = spec.name.substr(0, spec.name.size() - kBoth.size());
    for (const size_t index : {size_t{0}, size_t{1}}) {
      ++expected;
      const std::string name = experts + (index == 0 ? "gate_proj" : "up_proj");
      ASSERT_TRUE(found.contains(name)) << name;
      EXPECT_EQ(found.at(name).view.shape, (Shape{spec.shape[0], spec.shape[1] / 2, spec.shape[2]})) << name;
      expect_same(model, spec, found.at(name).view, index, 2);
    }
  }
  EXPECT_EQ(found.size(), expected);
}

TEST(Mlx, WhatWasWrittenIsRead) {
  for (uint32_t seed = 0; seed < 3; ++seed) {
    for (const DType scale_type : {DType::kF32, DType::kBF16}) {
      for (const TinyShape& shape : {kShape, kExperts}) {
        const MlxModel model(shape, scale_type, seed);
        StoredFolder folder = folder_of(model);
        expect_same_tensors(model, read_by_name(folder, model.config));
      }
    }
  }
}

TEST(Mlx, PiecesOfAnySizeGiveTheSameFile) {
  const MlxModel model(kExperts, DType::kF32, 1);
  const StoredFolder expected = folder_of(model);
  for (const size_t step : {size_t{1}, size_t{3}, size_t{1000}}) {
    const TensorProducer whole = model.producer();
    const TensorProducer pieces = [&](const TensorSpec& spec, const ByteSink& sink) {
      return whole(spec, [&](Bytes bytes) -> Status {
        for (size_t i = 0; i < bytes.size(); i += step) {
          CARAT_TRY_STATUS(sink(bytes.subspan(i, std::min(step, bytes.size() - i))));
        }
        return success();
      });
    };
    const StoredFolder folder(mlx_layout(model.config, model.tensors, pieces).value());
    for (const auto& [name, stored] : expected.tensors) EXPECT_EQ(folder.tensors.at(name).data, stored.data) << name;
  }
}

TEST(Mlx, TheLayoutIsThatOfMlxLm) {
  const StoredFolder folder = folder_of(MlxModel(kShape, DType::kBF16, 1));
  const auto expect_stored = [&](const std::string& name, const char* dtype, const Shape& shape) {
    ASSERT_TRUE(folder.tensors.contains(name)) << name;
    EXPECT_EQ(folder.tensors.at(name).dtype, dtype) << name;
    EXPECT_EQ(folder.tensors.at(name).shape, shape) << name;
  };
  expect_stored("model.layers.0.self_attn.q_proj.weight", "U32", {128, 8});
  expect_stored("model.layers.0.self_attn.q_proj.scales", "BF16", {128, 2});
  expect_stored("model.layers.0.self_attn.q_proj.biases", "BF16", {128, 2});
  expect_stored("model.embed_tokens_per_layer.weight", "U32", {270, 8});
  expect_stored("model.embed_tokens_per_layer.biases", "BF16", {270, 2});
  expect_stored("model.per_layer_model_projection.weight", "BF16", {128, 64});
  expect_stored("model.norm.weight", "BF16", {64});
  EXPECT_FALSE(folder.tensors.contains("lm_head.weight"));
  EXPECT_EQ(folder.quantization.dump(), R"({"group_size":32,"bits":4,"mode":"affine",)"
                                        R"("model.embed_tokens_per_layer":{"group_size":64,"bits":2}})");
}

TEST(Mlx, ABiasIsTheLowestCodeTimesTheScale) {
  const StoredFolder folder = folder_of(MlxModel(kShape, DType::kF32, 1));
  for (const auto& [module, factor] :
       {std::pair(std::string(kProjection), -8.0f), std::pair(std::string("model.embed_tokens_per_layer"), -2.0f)}) {
    const std::string& scales = folder.tensors.at(module + ".scales").data;
    const std::string& biases = folder.tensors.at(module + ".biases").data;
    ASSERT_EQ(scales.size(), biases.size());
    for (size_t i = 0; i < scales.size(); i += sizeof(float)) {
      float scale, bias;
      std::memcpy(&scale, scales.data() + i, sizeof(scale));
      std::memcpy(&bias, biases.data() + i, sizeof(bias));
      ASSERT_EQ(bias, factor * scale);
    }
  }
}

TEST(Mlx, ExpertsHaveTheNamesOfMlxLm) {
  const StoredFolder folder = folder_of(MlxModel(kExperts, DType::kBF16, 1));
  const std::string experts = "model.layers.1.experts.switch_glu.";
  EXPECT_EQ(folder.tensors.at(experts + "gate_proj.weight").shape, (Shape{4, 32, 8}));
  EXPECT_EQ(folder.tensors.at(experts + "up_proj.scales").shape, (Shape{4, 32, 2}));
  EXPECT_EQ(folder.tensors.at(experts + "down_proj.biases").shape, (Shape{4, 64, 1}));
  EXPECT_EQ(folder.tensors.at("model.layers.1.router.proj.weight").dtype, "F32");
}

TEST(Mlx, FloatsOfExpertsAreSplitToo) {
  MlxModel model(kExperts, DType::kBF16, 1);
  for (TensorSpec& spec : model.tensors) {
    if (spec.name.ends_with("gate_up_proj")) spec = {spec.name, DType::kBF16, spec.shape};
  }
  StoredFolder folder = folder_of(model);
  EXPECT_EQ(folder.tensors.at("model.layers.0.experts.switch_glu.up_proj.weight").shape, (Shape{4, 32, 64}));
  expect_same_tensors(model, read_by_name(folder, model.config));
}

TEST(Mlx, ALayerWithoutAScalarGetsOne) {
  MlxModel model(kShape, DType::kBF16, 1);
  std::erase_if(model.tensors, [](const TensorSpec& spec) { return spec.name == "model.layers.2.layer_scalar"; });
  const StoredFolder folder = folder_of(model);
  EXPECT_EQ(folder.tensors.at("model.layers.2.layer_scalar").data, Stored::of<uint16_t>("BF16", {1}, {0x3f80}).data);
}

TEST(Mlx, WithoutCodesNothingIsSaidOfThem) {
  MlxModel model(kShape, DType::kBF16, 1);
  for (TensorSpec& spec : model.tensors) spec = {spec.name, DType::kBF16, spec.shape};
  const auto layout = mlx_layout(model.config, model.tensors, model.producer()).value();
  EXPECT_TRUE(layout.quantization_config.is_null());
  EXPECT_EQ(layout.format, "mlx");
}

TEST(Mlx, NamesOfACompositeModelAreRead) {
  const MlxModel model(kExperts, DType::kBF16, 1);
  StoredFolder folder = folder_of(model);
  std::vector<std::string> names;
  for (const auto& [name, stored] : folder.tensors) names.push_back(name);
  for (const std::string& name : names) folder.rename(name, "language_model." + name);
  // Nothing of a tower matters.
  folder.tensors["vision_tower.q_proj.weight"] = {"F64", {1}, "abcdefgh"};
  folder.tensors["vision_tower.q_proj.scales"] = {"U8", {1}, "a"};
  folder.tensors["embed_vision.biases"] = {"U8", {1}, "a"};
  expect_same_tensors(model, read_by_name(folder, model.config));
}

TEST(Mlx, KeysOfSharingLayersAreLeftOut) {
  const MlxModel model(kShape, DType::kBF16, 1);
  StoredFolder folder = folder_of(model);
  folder.tensors["model.layers.2.self_attn.k_proj.weight"] = {"U8", {1}, "a"};
  folder.tensors["model.layers.3.self_attn.v_proj.scales"] = {"U8", {1}, "a"};
  expect_same_tensors(model, read_by_name(folder, model.config));
}

TEST(Mlx, AHeadIsTheEmbeddingAgain) {
  const MlxModel model(kShape, DType::kBF16, 1);
  StoredFolder folder = folder_of(model);
  for (const char* member : {".weight", ".scales", ".biases"}) {
    folder.tensors[std::string("lm_head") + member] = folder.tensors[std::string("model.embed_tokens") + member];
  }
  expect_same_tensors(model, read_by_name(folder, model.config));
  folder.tensors["lm_head.weight"].data.back() ^= 1;
  const auto differs = read(folder, model.config);
  ASSERT_FALSE(differs.ok());
  EXPECT_EQ(differs.error().message,
            "folder: lm_head differs from model.embed_tokens.weight; a head apart from the embedding is not supported");
}

/// Changes a good folder and expects a message.
void expect_refused(const std::function<void(StoredFolder&)>& change, const std::string& part) {
  const MlxModel model(kShape, DType::kF32, 1);
  StoredFolder folder = folder_of(model);
  change(folder);
  const auto found = read(folder, model.config);
  ASSERT_FALSE(found.ok()) << part;
  EXPECT_EQ(found.error().kind, ErrorKind::kRefused);
  EXPECT_NE(found.error().message.find(part), std::string::npos) << found.error().message;
}

TEST(Mlx, RefusesWhatContradictsTheConfiguration) {
  const std::string name = kProjection;
  expect_refused(
      [](auto& folder) { folder.quantization["group_size"] = 64; },
      "model.embed_tokens.scales: found [270, 2] F32, expected [270, 1] BF16 or F32, scales and biases alike");
  expect_refused(
      [](auto& folder) { folder.quantization["group_size"] = 128; },
      "model.embed_tokens.weight: groups of 128 columns do not divide rows of 64, which config.json asks for");
  expect_refused(
      [&](auto& folder) {
        folder.quantization[name] = {{"group_size", 32}, {"bits", 2}};
      },
      "q_proj.scales: found [128, 2] F32, expected [128, 4] BF16 or F32");
  expect_refused([&](auto& folder) { folder.quantization[name] = false; },
                 "q_proj.scales: is there, but config.json says that the module is not quantized");
  expect_refused([](auto& folder) { folder.quantization["model.norm"] = true; },
                 "model.norm.weight: found [64] BF16 without scales; expected codes with scales and biases");
  for (const int bits : {3, 5, 6, 8}) {
    expect_refused(
        [&](auto& folder) {
          folder.quantization[name] = {{"group_size", 32}, {"bits", bits}};
        },
        "q_proj.weight: codes of " + std::to_string(bits) + " bits are not supported in MLX folders");
  }
  expect_refused([](auto& folder) { folder.quantization["mode"] = "nvfp4"; },
                 "folder: quantization.mode: found \"nvfp4\"");
}

TEST(Mlx, RefusesDamagedCodes) {
  const std::string name = kProjection;
  const std::string weight = name + ".weight", scales = name + ".scales", biases = name + ".biases";
  expect_refused([&](auto& folder) { folder.tensors.erase(weight); },
                 "q_proj.scales: belongs to a weight, which is missing");
  expect_refused([&](auto& folder) { folder.tensors.erase(biases); },
                 "q_proj.scales: belongs to biases, which are missing");
  expect_refused([&](auto& folder) { folder.tensors.erase(scales); },
                 "q_proj.biases: belongs to scales, which are missing");
  expect_refused(
      [&](auto& folder) {
        folder.tensors.erase(scales);
        folder.tensors.erase(biases);
      },
      "q_proj.weight: found [128, 8] U32 without scales");
  expect_refused([&](auto& folder) { folder.tensors[weight].dtype = "I32"; },
                 "q_proj.weight: found [128, 8] I32, expected a matrix of U32");
  expect_refused([&](auto& folder) { folder.tensors[weight].shape = {1024}; }, "q_proj.weight: found [1024] U32");
  expect_refused([&](auto& folder) { folder.tensors[weight].shape = {1, 1, 128, 8}; }, "found [1, 1, 128, 8] U32");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[weight] = {"U32", {0, std::numeric_limits<int64_t>::max()}, ""};
      },
      "q_proj.weight: found [0, 9223372036854775807] U32");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[weight].shape = {64, 16};
      },
      "q_proj.scales: found [128, 2] F32, expected [64, 4]");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[biases].shape = {2, 128};
      },
      "q_proj.biases: found [2, 128] F32, expected [128, 2]");
  expect_refused(
      [&](auto& folder) {
        for (const std::string& which : {scales, biases}) {
          folder.tensors[which] = Stored::of<uint16_t>("F16", {128, 2}, std::vector<uint16_t>(256, 0x3c00));
        }
      },
      "q_proj.scales: found [128, 2] F16, expected [128, 2] BF16 or F32, scales and biases alike");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[biases] = Stored::of<uint16_t>("BF16", {128, 2}, std::vector<uint16_t>(256, 0xc100));
      },
      "q_proj.biases: found [128, 2] BF16, expected");
  expect_refused([](auto& folder) { folder.tensors["model.norm.weight"].dtype = "I16"; }, "type \"I16\"");
}

TEST(Mlx, RefusesGroupsThatAreNotSymmetric) {
  const auto set = [](const std::string& tensor, size_t index, float value) {
    return [=](StoredFolder& folder) {
      std::memcpy(folder.tensors[tensor].data.data() + index * sizeof(value), &value, sizeof(value));
    };
  };
  const std::string name = kProjection;
  expect_refused(set(name + ".biases", 0, -7.5f), "; affine with an offset of its own: not a symmetric lattice;");
  expect_refused(set(name + ".biases", 2 * 77 + 1, 0.0f), "q_proj.biases: row 77, group 1: found 0 beside the scale ");
  expect_refused(set(name + ".biases", 255, std::numeric_limits<float>::quiet_NaN()),
                 "q_proj.biases: row 127, group 1: found nan");
  expect_refused(set("model.embed_tokens_per_layer.biases", 7, -8.0f), "embed_tokens_per_layer.biases: row 3, group 1");
  for (const float scale : {0.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    expect_refused(set(name + ".scales", 5, scale), "q_proj.weight: the scale of row 2, group 1 is ");
  }
  expect_refused(set(name + ".scales", 5, 1e38f), "q_proj.biases: row 2, group 1: found ");
}

TEST(Mlx, RefusesATensorThatIsThereTwice) {
  const MlxModel model(kShape, DType::kF32, 1);
  const StoredFolder folder = folder_of(model);
  const StoredTensor scales = {"m.scales", "F32", {0}, {}};
  const auto found = tensors_of_mlx({scales, scales}, folder.quantization, model.config, "folder");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().message, "folder: m.scales: is there twice");
}

void expect_not_written(const TensorSpec& changed, const std::string& part) {
  MlxModel model(kShape, DType::kF32, 1);
  for (TensorSpec& spec : model.tensors) {
    if (spec.name == kProjection + std::string(".weight")) spec = changed;
  }
  const auto layout = mlx_layout(model.config, model.tensors, model.producer());
  ASSERT_FALSE(layout.ok()) << part;
  EXPECT_NE(layout.error().message.find(part), std::string::npos) << layout.error().message;
}

TEST(Mlx, WritesOnlyWhatItCanHold) {
  const std::string name = std::string(kProjection) + ".weight";
  expect_not_written({name, DType::kQ4_0, {128, 64}}, "q_proj.weight: is stored as Q4_0, which an MLX folder cannot");
  expect_not_written({name, DType::kS4, {128, 64}, 2}, "q_proj.weight: codes of the type S4 cannot be stored as MLX");
  expect_not_written({name, DType::kI8, {128, 64}, 2}, "q_proj.weight: codes of the type I8 cannot be stored as MLX");
  expect_not_written({name, DType::kI4, {64}, 2}, "q_proj.weight: [64] I4 cannot be stored as MLX");
  expect_not_written({"model.layers.0.router.scale", DType::kI4, {128, 64}, 2}, "router.scale: [128, 64] I4 cannot");
  expect_not_written({name, DType::kI4, {128, 96}, 1}, "q_proj.weight: 96 columns share a scale; MLX has groups of 32");
  expect_not_written({name, DType::kI4, {128, 256}, 1}, "256 columns share a scale");
  expect_not_written({name, DType::kI4, {128, 64}, 4}, "16 columns share a scale");
  expect_not_written({std::string(kProjection) + ".input_activation_scale", DType::kF32, {}},
                     "q_proj.input_activation_scale: MLX has no place for static quantizers");
}

TEST(Mlx, RefusesHeadsThatMlxLmWouldTakeForOthers) {
  const MlxModel model({.pattern = "SF", .shared = 0, .full_kv_heads = 1}, DType::kBF16, 1);
  const auto layout = mlx_layout(model.config, model.tensors, model.producer());
  ASSERT_FALSE(layout.ok());
  EXPECT_EQ(layout.error().message,
            "an MLX folder cannot say that full layers have 1 key-value heads and sliding ones 2; write a GGUF file "
            "instead");
  const MlxModel keys({.pattern = "SF", .shared = 0, .value_is_key = true, .full_kv_heads = 1}, DType::kBF16, 1);
  EXPECT_TRUE(mlx_layout(keys.config, keys.tensors, keys.producer()).ok());
}

TEST(Mlx, RefusesScalesWhoseBiasIsInfinite) {
  for (const DType type : {DType::kF32, DType::kBF16}) {
    const MlxModel model(kShape, type, 1);
    const TensorProducer large = [](const TensorSpec& spec, const ByteSink& sink) {
      const std::vector<float> values(static_cast<size_t>(*element_count(spec.shape)), 1e38f);
      std::vector<std::byte> bytes(*tensor_bytes(spec.dtype, spec.shape));
      encode(spec.dtype, values, bytes);
      return sink(bytes);
    };
    const auto layout = mlx_layout(model.config, model.tensors, large).value();
    for (const StoredSpec& spec : layout.tensors) {
      if (spec.name != std::string(kProjection) + ".biases") continue;
      const Status produced = spec.produce([](Bytes) { return success(); });
      ASSERT_FALSE(produced.ok());
      EXPECT_NE(produced.error().message.find("is too large for MLX, which also stores -8 times it"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace carat
