#include "formats/compressed_tensors.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>

#include "tests/support/coded_model.h"
#include "tests/support/stored_folder.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

FolderLayout layout_of(const CodedModel& model) {
  return compressed_tensors_layout(model.config, model.tensors, model.producer()).value();
}

/// What `compressed_tensors_layout` makes of a model, read back after a test has changed something.
class CompressedFolder : public StoredFolder {
 public:
  explicit CompressedFolder(const CodedModel& model) : StoredFolder(layout_of(model)), config(model.config) {}

  Result<std::vector<NamedTensor>> read() { return tensors_of_compressed(open(), quantization, config, "folder"); }

  std::map<std::string, NamedTensor> read_by_name() {
    std::map<std::string, NamedTensor> named;
    const std::vector<NamedTensor> tensors_read = read().value();
    for (const NamedTensor& tensor : tensors_read) named[tensor.name] = tensor;
    return named;
  }

  ordered_json& group_of(const std::string& module) {
    for (auto& group : quantization["config_groups"]) {
      for (const auto& target : group["targets"]) {
        if (target == module) return group;
      }
    }
    return quantization;
  }

  ModelConfig config;
};

const TinyShape kShape = {.pattern = "SFSF", .shared = 2};

CompressedFolder mobile() { return CompressedFolder(CodedModel(kShape, coded_scheme(kShape), 1)); }

constexpr const char* kProjection = "model.layers.0.self_attn.q_proj";

/// Changes a good folder and expects a message.
void expect_refused(const std::function<void(CompressedFolder&)>& change, const std::string& part) {
  CompressedFolder folder = mobile();
  change(folder);
  const auto read = folder.read();
  ASSERT_FALSE(read.ok()) << part;
  EXPECT_EQ(read.error().kind, ErrorKind::kRefused);
  EXPECT_NE(read.error().message.find(part), std::string::npos) << read.error().message;
}

void expect_same_tensors(const CodedModel& model, const std::map<std::string, NamedTensor>& found) {
  EXPECT_EQ(found.size(), model.tensors.size());
  const auto expect_bytes = [&](const TensorSpec& spec, Bytes bytes) {
    ASSERT_TRUE(model
                    .producer()(spec,
                                [&](Bytes expected) {
                                  EXPECT_TRUE(std::ranges::equal(expected, bytes)) << spec.name;
                                  return success();
                                })
                    .ok());
  };
  for (const TensorSpec& spec : model.tensors) {
    ASSERT_TRUE(found.contains(spec.name)) << spec.name;
    const TensorView& view = found.at(spec.name).view;
    EXPECT_EQ(view.dtype, spec.dtype) << spec.name;
    EXPECT_EQ(view.shape, spec.shape) << spec.name;
    EXPECT_EQ(view.scales.groups, spec.scale_groups) << spec.name;
    expect_bytes(spec, view.data);
    if (!is_code_type(spec.dtype)) continue;
    EXPECT_EQ(view.scales.dtype, spec.scale_dtype) << spec.name;
    expect_bytes(scales_of(spec), view.scales.data);
  }
}

TEST(CompressedTensors, WhatWasWrittenIsRead) {
  for (uint32_t seed = 0; seed < 3; ++seed) {
    for (const DType scale_type : {DType::kF32, DType::kBF16}) {
      for (const Scheme& scheme : {coded_scheme(kShape), grouped_scheme()}) {
        CodedModel model(kShape, scheme, seed);
        for (TensorSpec& spec : model.tensors) spec.scale_dtype = scale_type;
        expect_same_tensors(model, CompressedFolder(model).read_by_name());
      }
    }
  }
}

TEST(CompressedTensors, TheLayoutIsThatOfThePackage) {
  const CompressedFolder folder = mobile();
  const auto expect_stored = [&](const std::string& name, const char* dtype, const Shape& shape) {
    ASSERT_TRUE(folder.tensors.contains(name)) << name;
    EXPECT_EQ(folder.tensors.at(name).dtype, dtype) << name;
    EXPECT_EQ(folder.tensors.at(name).shape, shape) << name;
  };
  expect_stored("model.layers.0.self_attn.q_proj.weight_packed", "I32", {128, 8});
  expect_stored("model.layers.0.self_attn.q_proj.weight_scale", "F32", {128, 1});
  expect_stored("model.layers.0.self_attn.q_proj.weight_shape", "I64", {2});
  expect_stored("model.layers.0.self_attn.q_proj.input_scale", "F32", {1});
  expect_stored("model.layers.0.self_attn.q_proj.output_scale", "F32", {1});
  expect_stored("model.layers.0.self_attn.k_scale", "F32", {1});
  expect_stored("model.layers.0.self_attn.v_scale", "F32", {1});
  expect_stored("model.layers.2.mlp.up_proj.weight_packed", "I32", {192, 4});
  expect_stored("model.layers.3.per_layer_input_gate.weight", "I8", {32, 64});
  expect_stored("model.embed_tokens_per_layer.weight_scale", "F32", {folder.config.vocabulary, 4});
  expect_stored("lm_head.weight_packed", "I32", {folder.config.vocabulary, 4});
  EXPECT_FALSE(folder.tensors.contains("model.layers.2.self_attn.k_scale")) << "layer 2 keeps no keys of its own";
  EXPECT_FALSE(folder.tensors.contains("model.layers.3.per_layer_input_gate.weight_shape"));
  EXPECT_EQ(folder.tensors.at("lm_head.weight_packed").data,
            folder.tensors.at("model.embed_tokens.weight_packed").data);
  EXPECT_EQ(folder.tensors.at("model.layers.0.self_attn.q_proj.weight_shape").data,
            Stored::of<int64_t>("I64", {2}, {128, 64}).data);

  EXPECT_EQ(folder.quantization["format"], "mixed-precision");
  EXPECT_EQ(folder.quantization["ignore"], ordered_json({"model.per_layer_model_projection"}));
  EXPECT_EQ(folder.quantization["kv_cache_scheme"]["num_bits"], 8);
  EXPECT_EQ(folder.quantization["config_groups"].size(), 5u);
  EXPECT_EQ(folder.quantization["config_groups"]["group_0"]["targets"],
            ordered_json({"model.embed_tokens", "lm_head"}));
  EXPECT_EQ(folder.quantization["config_groups"]["group_1"]["weights"]["group_size"], 32);
}

TEST(CompressedTensors, OneGroupMakesOneFormat) {
  const TinyShape wide = {.pattern = "SF", .shared = 0, .per_layer_width = 64};
  const CompressedFolder folder(CodedModel(wide, grouped_scheme(), 1));
  EXPECT_EQ(folder.quantization["format"], "pack-quantized");
  EXPECT_EQ(folder.quantization["config_groups"].size(), 1u);
  EXPECT_EQ(folder.quantization["kv_cache_scheme"], nullptr);
  EXPECT_EQ(folder.quantization["ignore"], ordered_json({"lm_head", "model.per_layer_model_projection"}));
  EXPECT_EQ(folder.tensors.at("lm_head.weight").data, folder.tensors.at("model.embed_tokens.weight").data);
  EXPECT_EQ(folder.tensors.at("lm_head.weight").dtype, "BF16");
}

TEST(CompressedTensors, AQuantizerThatIsMissingLeavesTheGroup) {
  CodedModel model(kShape, coded_scheme(kShape), 1);
  std::erase_if(model.tensors, [](const TensorSpec& spec) {
    return spec.name == std::string(kProjection) + ".output_activation_scale";
  });
  CompressedFolder folder(model);
  EXPECT_EQ(folder.quantization["config_groups"].size(), 6u);
  EXPECT_EQ(folder.group_of(kProjection)["output_activations"], nullptr);
  expect_same_tensors(model, folder.read_by_name());
}

TEST(CompressedTensors, NamesOfACompositeModelAreMatchedAsTheFileHasThem) {
  CompressedFolder folder = mobile();
  const size_t tensors = folder.read_by_name().size();
  std::vector<std::string> names;
  for (const auto& [name, stored] : folder.tensors) names.push_back(name);
  for (const std::string& name : names) {
    if (name.starts_with("model.")) folder.rename(name, "model.language_model." + name.substr(6));
  }
  const auto unmatched = folder.read();
  ASSERT_FALSE(unmatched.ok());
  EXPECT_NE(unmatched.error().message.find("match no matrix of the file"), std::string::npos);
  for (auto& group : folder.quantization["config_groups"]) {
    for (auto& target : group["targets"]) {
      const std::string name = target;
      if (name.starts_with("model.")) target = "model.language_model." + name.substr(6);
    }
  }
  EXPECT_EQ(folder.read_by_name().size(), tensors);
}

TEST(CompressedTensors, TowersAreLeftOutWhateverTheyHold) {
  CompressedFolder folder = mobile();
  const size_t tensors = folder.read_by_name().size();
  folder.tensors["model.vision_tower.layers.0.q_proj.weight"] = {"I8", {2, 2}, "abcd"};
  folder.tensors["model.audio_tower.layers.0.q_proj.weight_packed"] = {"F64", {1}, "abcdefgh"};
  folder.tensors["model.audio_tower.layers.0.q_proj.weight_zero_point"] = {"I8", {1}, "a"};
  folder.tensors["model.audio_tower.scale"] = {"U8", {1}, "a"};
  EXPECT_EQ(folder.read_by_name().size(), tensors);
  // A group of a tower matches something too.
  folder.quantization["config_groups"]["tower"] = folder.group_of(kProjection);
  folder.quantization["config_groups"]["tower"]["targets"] = {"re:.*vision_tower.*"};
  EXPECT_EQ(folder.read_by_name().size(), tensors);
}

TEST(CompressedTensors, AQuantizerOfZeroIsNone) {
  CompressedFolder folder = mobile();
  folder.tensors[std::string(kProjection) + ".input_scale"] = Stored::of<float>("F32", {1}, {0.0f});
  folder.tensors["model.layers.1.self_attn.v_scale"] = Stored::of<float>("F32", {}, {0.0f});
  folder.tensors["lm_head.input_scale"] = Stored::of<float>("F32", {1}, {0.0f});
  for (const char* range : {"input_activations", "output_activations"}) {
    folder.group_of("lm_head")[range] = folder.group_of(kProjection)[range];
  }
  const auto found = folder.read_by_name();
  EXPECT_FALSE(found.contains(std::string(kProjection) + ".input_activation_scale"));
  EXPECT_TRUE(found.contains(std::string(kProjection) + ".output_activation_scale"));
  EXPECT_FALSE(found.contains("model.layers.1.self_attn.v_cache_scale"));
  EXPECT_FALSE(found.contains("lm_head.input_activation_scale"));
}

TEST(CompressedTensors, AQuantizerMayHaveItsScaleInTheModelsType) {
  CompressedFolder folder = mobile();
  folder.tensors[std::string(kProjection) + ".input_scale"] = Stored::of<uint16_t>("BF16", {1}, {0x3f00});
  const auto found = folder.read_by_name();
  EXPECT_EQ(decode_tensor(found.at(std::string(kProjection) + ".input_activation_scale").view).front(), 0.5f);
}

TEST(CompressedTensors, SharingLayersMayRepeatTheirOwner) {
  CompressedFolder folder = mobile();
  const size_t tensors = folder.read_by_name().size();
  folder.tensors["model.layers.2.self_attn.k_scale"] = folder.tensors["model.layers.0.self_attn.k_scale"];
  folder.tensors["model.layers.2.self_attn.k_proj.weight"] = {"U8", {1}, "a"};
  EXPECT_EQ(folder.read_by_name().size(), tensors);
  folder.tensors["model.layers.2.self_attn.k_scale"] = folder.tensors["model.layers.1.self_attn.k_scale"];
  const auto read = folder.read();
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message,
            "folder: model.layers.2.self_attn.k_cache_scale: differs from that of layer 0, whose keys and values this "
            "layer reads");
}

TEST(CompressedTensors, RefusesWhatContradictsTheRules) {
  const std::string name = kProjection;
  expect_refused([&](auto& folder) { folder.group_of(name)["weights"]["num_bits"] = 2; },
                 "down_proj.weight_packed: found [64, 12] I32, which does not hold [64, 96] codes of 2 bits");
  expect_refused(
      [&](auto& folder) {
        folder.group_of(name)["weights"]["num_bits"] = 8;
        folder.group_of(name)["format"] = "int-quantized";
      },
      "found [64, 12] I32, but \"group_2\" has codes of 8 bits; expected weight");
  expect_refused([&](auto& folder) { folder.quantization["ignore"].push_back(name); },
                 "q_proj.weight_packed: no group of config_groups has it as a target");
  expect_refused(
      [&](auto& folder) {
        folder.quantization["ignore"] = ordered_json::array();
        folder.group_of(name)["targets"].push_back("model.per_layer_model_projection");
      },
      "per_layer_model_projection.weight: found [128, 64] BF16, but \"group_2\" of config_groups has it as codes");
  expect_refused(
      [&](auto& folder) {
        folder.quantization["config_groups"]["g"] = folder.group_of(name);
        folder.quantization["config_groups"]["g"]["targets"] = {"re:nothing"};
      },
      "folder: quantization_config.config_groups.g.targets: match no matrix of the file");
  expect_refused([&](auto& folder) { folder.group_of(name)["input_activations"] = nullptr; },
                 "input_scale: the module's group of config_groups has no such activations");
  expect_refused([&](auto& folder) { folder.quantization["kv_cache_scheme"] = nullptr; },
                 "model.layers.0.self_attn.k_scale: is there, but kv_cache_scheme is null");
}

TEST(CompressedTensors, RefusesPatternsThatTakeTooLongWithTheNames) {
  const auto add_patterns = [](CompressedFolder& folder) {
    for (int i = 0; i < 100; ++i) {
      folder.group_of(kProjection)["targets"].push_back("re:.*a.{0,200}b.{0,200}" + std::to_string(i));
      folder.tensors["model.vision_tower." + std::string(200, 'a') + std::to_string(i) + ".weight"] = {"U8", {1}, "a"};
    }
  };
  expect_refused(add_patterns, "folder: quantization_config: its regular expressions have");
}

TEST(CompressedTensors, RefusesDamagedCodes) {
  const std::string name = kProjection;
  const std::string packed = name + ".weight_packed", shape = name + ".weight_shape";
  const auto set_shape = [&](int64_t rows, int64_t columns) {
    return [=](CompressedFolder& folder) { folder.tensors[shape] = Stored::of<int64_t>("I64", {2}, {rows, columns}); };
  };
  expect_refused([&](auto& folder) { folder.tensors.erase(shape); }, "q_proj.weight_packed: weight_shape is missing");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[shape] = Stored::of<int32_t>("I32", {2}, {128, 64});
      },
      "q_proj.weight_shape: found [2] I32, expected [2] I64");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[shape] = Stored::of<int64_t>("I64", {1, 2}, {128, 64});
      },
      "found [1, 2] I64");
  expect_refused(set_shape(128, 65), "which does not hold [128, 65] codes of 4 bits");
  expect_refused(set_shape(64, 128), "which does not hold [64, 128] codes of 4 bits");
  expect_refused(set_shape(128, 61), "rows of 61 codes do not fill whole words, expected a multiple of 8");
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  for (const int64_t extent : {int64_t{0}, int64_t{-64}, kLargest, std::numeric_limits<int64_t>::min()}) {
    expect_refused(set_shape(128, extent), "expected rows and columns of a matrix");
    expect_refused(set_shape(extent, 64), "expected rows and columns of a matrix");
  }
  expect_refused([&](auto& folder) { folder.tensors[packed].dtype = "U32"; }, "found [128, 8] U32");
  expect_refused([&](auto& folder) { folder.tensors[packed].shape = {2, 64, 8}; }, "no group of config_groups");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[name + ".weight"] = {"I8", {1, 1}, "a"};
      },
      "q_proj.weight_packed: is there beside weight");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[name + ".weight_zero_point"] = {"I8", {1, 1}, "a"};
      },
      "q_proj.weight_zero_point: is of a kind of quantization that is not supported");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[name + ".weight_g_idx"] = {"I8", {1, 1}, "a"};
      },
      "q_proj.weight_g_idx: is of a kind");
  const std::string gate = "model.layers.0.per_layer_input_gate";
  expect_refused([&](auto& folder) { folder.tensors[gate + ".weight_shape"] = folder.tensors[shape]; },
                 "per_layer_input_gate.weight_shape: belongs to packed codes");
  expect_refused([&](auto& folder) { folder.tensors[gate + ".weight"].dtype = "U8"; },
                 "per_layer_input_gate.weight_scale: belongs to a weight of codes, which is missing");
  expect_refused([&](auto& folder) { folder.tensors["model.norm.weight"].dtype = "I16"; }, "type \"I16\"");
  expect_refused([&](auto& folder) { folder.tensors.erase(packed); },
                 "q_proj.weight_scale: belongs to a weight of codes, which is missing");
}

TEST(CompressedTensors, RefusesDamagedScales) {
  const std::string name = kProjection;
  const std::string scale = name + ".weight_scale", input = name + ".input_scale";
  const std::vector<float> ones(128, 1.0f);
  const auto set_input = [&](Stored stored) {
    return [=](CompressedFolder& folder) { folder.tensors[input] = stored; };
  };
  expect_refused([&](auto& folder) { folder.tensors.erase(scale); },
                 "folder: model.layers.0.self_attn.q_proj: weight_scale is missing");
  expect_refused([&](auto& folder) { folder.tensors[scale] = Stored::of<float>("F32", {128}, ones); },
                 "q_proj.weight_scale: found [128] F32, expected [128, 1] F32 or BF16");
  expect_refused(
      [&](auto& folder) {
        folder.tensors[scale] = Stored::of<uint16_t>("F16", {128, 1}, std::vector<uint16_t>(128, 0x3c00));
      },
      "found [128, 1] F16, expected [128, 1] F32 or BF16");
  expect_refused(
      [&](auto& folder) {
        std::vector<float> scales = ones;
        scales[77] = 0.0f;
        folder.tensors[scale] = Stored::of<float>("F32", {128, 1}, scales);
      },
      "folder: model.layers.0.self_attn.q_proj.weight: the scale of row 77 is 0");
  expect_refused([](auto& folder) { folder.group_of("model.embed_tokens_per_layer")["weights"]["group_size"] = 24; },
                 "groups of 24 columns do not divide rows of 128");
  expect_refused([](auto& folder) { folder.group_of("model.embed_tokens_per_layer")["weights"]["group_size"] = 64; },
                 "expected [270, 2] F32 or BF16");
  expect_refused(set_input(Stored::of<uint16_t>("F16", {1}, {0x3c00})),
                 "q_proj.input_scale: expected one F32 or BF16 number, found [1] F16");
  expect_refused(set_input(Stored::of<float>("F32", {2}, {1.0f, 1.0f})),
                 "input_scale: expected one F32 or BF16 number, found [2] F32");
  expect_refused(set_input(Stored::of<float>("F32", {1}, {-1.0f})),
                 "q_proj.input_scale: the scale of a static quantizer is -1");
  expect_refused(
      [](auto& folder) {
        folder.tensors["model.layers.0.self_attn.k_scale"] =
            Stored::of<float>("F32", {1}, {std::numeric_limits<float>::infinity()});
      },
      "self_attn.k_scale: the scale of a static quantizer is inf");
}

TEST(CompressedTensors, RefusesAHeadApartFromTheEmbedding) {
  const std::string message = "folder: lm_head differs from model.embed_tokens.weight; a head apart";
  expect_refused([](auto& folder) { folder.tensors["lm_head.weight_packed"].data[5] ^= 1; }, message);
  expect_refused([](auto& folder) { folder.tensors["lm_head.weight_packed"].data.back() ^= 1; }, message);
  expect_refused([](auto& folder) { folder.tensors["lm_head.weight_scale"].data[4] ^= 1; }, message);
  expect_refused(
      [](auto& folder) {
        for (const char* member : {".weight_packed", ".weight_scale", ".weight_shape"}) {
          folder.tensors.erase(std::string("lm_head") + member);
        }
        const size_t values = static_cast<size_t>(folder.config.vocabulary) * 64;
        folder.tensors["lm_head.weight"] = {"BF16", {folder.config.vocabulary, 64}, std::string(values * 2, 'a')};
        folder.quantization["ignore"].push_back("lm_head");
      },
      message);
  CompressedFolder grouped(CodedModel(kShape, grouped_scheme(), 1));
  EXPECT_TRUE(grouped.read().ok());
  grouped.tensors["lm_head.weight"].data.back() ^= 1;
  const auto read = grouped.read();
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message.find(message), 0u) << read.error().message;
}

TEST(CompressedTensors, RefusesATensorThatIsThereTwice) {
  const CompressedFolder folder = mobile();
  const StoredTensor scale = {"m.weight_scale", "F32", {0}, {}};
  const auto read = tensors_of_compressed({scale, scale}, folder.quantization, folder.config, "folder");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message, "folder: m.weight_scale: is there twice");
}

void expect_not_written(const TensorSpec& changed, const std::string& part) {
  CodedModel model(kShape, coded_scheme(kShape), 1);
  for (TensorSpec& spec : model.tensors) {
    if (spec.name == changed.name) spec = changed;
  }
  const auto layout = compressed_tensors_layout(model.config, model.tensors, model.producer());
  ASSERT_FALSE(layout.ok()) << part;
  EXPECT_NE(layout.error().message.find(part), std::string::npos) << layout.error().message;
}

TEST(CompressedTensors, WritesOnlyWhatItCanHold) {
  const std::string name = std::string(kProjection) + ".weight";
  expect_not_written({name, DType::kQ4_0, {128, 64}}, "q_proj.weight: is stored as Q4_0");
  expect_not_written({name, DType::kS4, {128, 64}, 1}, "q_proj.weight: [128, 64] S4 cannot be stored");
  expect_not_written({name, DType::kI4, {2, 64, 64}, 1}, "q_proj.weight: [2, 64, 64] I4 cannot be stored");
  expect_not_written({name, DType::kI2, {128, 68}, 1}, "rows of 68 codes of 2 bits do not fill whole words");
  expect_not_written({name, DType::kBF16, {128, 64}},
                     "q_proj: has static quantizers, but its weight is no matrix of codes");
}

}  // namespace
}  // namespace carat
