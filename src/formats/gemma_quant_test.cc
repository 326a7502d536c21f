#include "formats/gemma_quant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/file_map.h"
#include "base/file_write.h"
#include "base/sha256.h"
#include "formats/checkpoint.h"
#include "formats/names.h"
#include "formats/safetensors.h"
#include "lattice/lattice.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// Written by tests/oracle/gemma_quant_models.py.
constexpr const char* kModels[] = {"e2b_1", "e2b_2", "e2b_3", "e4b_1", "e4b_2", "e4b_3"};

fs::path golden(const std::string& name) { return fs::path(CARAT_SOURCE_DIR) / "tests/golden/mobile" / name; }

std::string read(const fs::path& path) { return read_text_file(path, size_t{16} << 20).value(); }

/// A copy of a golden folder whose files can be changed before it is opened.
struct EditedFolder {
  struct Tensor {
    std::string dtype;
    Shape shape;
    std::string bytes;
  };

  explicit EditedFolder(const std::string& name) : config(ordered_json::parse(read(golden(name) / "config.json"))) {
    const SafetensorsFile file = SafetensorsFile::open(golden(name) / "model.safetensors").value();
    for (const StoredTensor& tensor : file.tensors()) {
      tensors[tensor.name] = {tensor.dtype, tensor.shape, std::string(as_text(tensor.data))};
    }
    fs::copy(golden(name) / "tokenizer.json", folder / "tokenizer.json");
  }

  Result<Checkpoint> open() {
    std::vector<StoredSpec> specs;
    for (const auto& [name, tensor] : tensors) {
      specs.push_back({name, tensor.dtype, tensor.shape, tensor.bytes.size(), {}});
    }
    std::ranges::stable_sort(specs, std::greater{},
                             [](const StoredSpec& spec) { return *stored_element_bytes(spec.dtype); });
    std::string file = safetensors_header(specs);
    for (const StoredSpec& spec : specs) file += tensors.at(spec.name).bytes;
    CARAT_TRY_STATUS(write_file(folder / "model.safetensors", file));
    CARAT_TRY_STATUS(write_file(folder / "config.json", config.dump()));
    return Checkpoint::open(folder.path());
  }

  void expect_refused(const std::string& message) {
    const auto checkpoint = open();
    ASSERT_FALSE(checkpoint.ok()) << message;
    EXPECT_EQ(checkpoint.error().kind, ErrorKind::kRefused);
    EXPECT_TRUE(checkpoint.error().message.starts_with(folder.path().string())) << checkpoint.error().message;
    EXPECT_NE(checkpoint.error().message.find(message), std::string::npos) << checkpoint.error().message;
  }

  ordered_json& rules() { return config["quantization_config"]["module_quant_configs"]; }

  void set_float(const std::string& name, size_t index, float value) {
    std::memcpy(tensors.at(name).bytes.data() + index * sizeof value, &value, sizeof value);
  }

  TemporaryFolder folder;
  ordered_json config;
  std::map<std::string, Tensor> tensors;
};

constexpr const char* kGate = "model.layers.0.mlp.gate_proj";
constexpr const char* kAttention = "model.layers.0.self_attn";

float scalar(const TensorView& view) {
  float value = 0;
  std::memcpy(&value, view.data.data(), sizeof value);
  return value;
}

TEST(GemmaQuant, DecodesToTheNumbersOfTransformers) {
  for (const std::string name : kModels) {
    const Checkpoint checkpoint = Checkpoint::open(golden(name)).value();
    const ordered_json digests = ordered_json::parse(read(golden(name) / "weights.json"));
    size_t compared = 0;
    for (const auto& [tensor, digest] : digests.items()) {
      const TensorView* view = checkpoint.find(tensor == "lm_head.weight" ? "model.embed_tokens.weight" : tensor);
      ASSERT_NE(view, nullptr) << name << " " << tensor;
      ASSERT_TRUE(is_code_type(view->dtype)) << name << " " << tensor;
      const std::vector<float> values = decode_tensor(*view);
      EXPECT_EQ(sha256(as_text(std::as_bytes(std::span(values)))), digest) << name << " " << tensor;
      ++compared;
    }
    EXPECT_GT(compared, 20u) << name;
  }
}

TEST(GemmaQuant, HasTheSchedulesOfThePublishedModels) {
  const Checkpoint e2b = Checkpoint::open(golden("e2b_1")).value();
  EXPECT_EQ(e2b.container(), Container::kSafetensors);
  EXPECT_EQ(e2b.find("model.embed_tokens.weight")->dtype, DType::kI2);
  EXPECT_EQ(e2b.find("model.embed_tokens_per_layer.weight")->dtype, DType::kI4);
  EXPECT_EQ(e2b.find("model.embed_tokens_per_layer.weight")->scales.groups, e2b.config().layer_count());
  EXPECT_EQ(e2b.find("model.layers.1.mlp.up_proj.weight")->dtype, DType::kI4);
  EXPECT_EQ(e2b.find("model.layers.2.mlp.up_proj.weight")->dtype, DType::kI2);
  EXPECT_EQ(e2b.find("model.layers.2.per_layer_projection.weight")->dtype, DType::kI8);
  EXPECT_EQ(e2b.find("model.per_layer_model_projection.weight")->dtype, DType::kBF16);
  EXPECT_GT(e2b.bytes_left_out(), 10000u);  // the image tower, and the head
  const Checkpoint e4b = Checkpoint::open(golden("e4b_1")).value();
  EXPECT_EQ(e4b.find("model.embed_tokens_per_layer.weight")->dtype, DType::kI2);
  EXPECT_EQ(e4b.find("model.layers.2.mlp.up_proj.weight")->dtype, DType::kI4);
}

TEST(GemmaQuant, StaticQuantizersAreThoseThatAreCalibrated) {
  const Checkpoint checkpoint = Checkpoint::open(golden("e4b_3")).value();
  for (const TensorSpec& spec : static_scales(checkpoint.config())) {
    const TensorView* found = checkpoint.find(spec.name);
    const bool of_floats = spec.name.starts_with("model.per_layer_model_projection");
    const bool zero = spec.name.starts_with("lm_head") || of_floats ||
                      spec.name == "model.layers.1.per_layer_projection.output_activation_scale";
    EXPECT_EQ(found == nullptr, zero) << spec.name;
    EXPECT_TRUE(found == nullptr || scalar(*found) > 0.0f) << spec.name;
  }
  ASSERT_FALSE(checkpoint.config().owns_kv(2));
  EXPECT_EQ(checkpoint.find("model.layers.2.self_attn.k_cache_scale"), nullptr);
}

/// Writes a checkpoint again as it is.
Status copy_folder(const Checkpoint& from, const fs::path& to) {
  std::vector<TensorSpec> tensors;
  for (const auto& [name, view] : from.tensors()) {
    tensors.push_back({name, view.dtype, view.shape, view.scales.groups, view.scales.dtype});
  }
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) -> Status {
    if (const TensorView* view = from.find(spec.name)) return sink(view->data);
    return sink(from.find(spec.name.substr(0, spec.name.size() - std::string_view("_scale").size()))->scales.data);
  };
  const auto written =
      write_checkpoint(to, Container::kSafetensors, from.config(), from.vocabulary(), tensors, produce);
  return written.ok() ? success() : Status(written.error());
}

TEST(GemmaQuant, ARoundTripChangesNoByte) {
  for (const std::string name : kModels) {
    TemporaryFolder scratch;
    ASSERT_TRUE(copy_folder(Checkpoint::open(golden(name)).value(), scratch / "once").ok()) << name;
    ASSERT_TRUE(copy_folder(Checkpoint::open(scratch / "once").value(), scratch / "twice").ok()) << name;
    for (const char* file : {"model.safetensors", "config.json", "tokenizer.json"}) {
      EXPECT_TRUE(read(scratch / "once" / file) == read(scratch / "twice" / file)) << name << " " << file;
    }
    const SafetensorsFile before = SafetensorsFile::open(golden(name) / "model.safetensors").value();
    const SafetensorsFile after = SafetensorsFile::open(scratch / "once" / "model.safetensors").value();
    std::map<std::string, const StoredTensor*> written;
    for (const StoredTensor& tensor : after.tensors()) written[tensor.name] = &tensor;
    size_t compared = 0;
    for (const StoredTensor& tensor : before.tensors()) {
      if (tensor.name.find("vision") != std::string::npos) continue;
      const auto found = written.find(text_only_name(tensor.name));
      ASSERT_NE(found, written.end()) << name << " " << tensor.name;
      EXPECT_EQ(found->second->dtype, tensor.dtype) << name << " " << tensor.name;
      EXPECT_EQ(found->second->shape, tensor.shape) << name << " " << tensor.name;
      EXPECT_TRUE(as_text(found->second->data) == as_text(tensor.data)) << name << " " << tensor.name;
      ++compared;
    }
    EXPECT_EQ(compared, written.size()) << name;
  }
}

TEST(GemmaQuant, WritesRulesThatNameWholeModules) {
  TemporaryFolder scratch;
  ASSERT_TRUE(copy_folder(Checkpoint::open(golden("e2b_2")).value(), scratch / "folder").ok());
  const ordered_json config = ordered_json::parse(read(scratch / "folder" / "config.json"));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["quantization_config"].dump(),
            R"({"quant_method":"gemma","num_bits":4,"quantize_embeddings":true,"module_quant_configs":{)"
            R"("^(lm_head|model\\.embed_tokens)$":{"num_bits":2},)"
            R"("^model\\.layers\\.3\\.(mlp\\.down_proj|mlp\\.gate_proj|mlp\\.up_proj)$":{"num_bits":2},)"
            R"("^model\\.layers\\.(0|1|2|3)\\.(per_layer_input_gate|per_layer_projection)$":{"num_bits":8}},)"
            R"("modules_to_not_convert":["model\\.per_layer_model_projection"]})");
}

TEST(GemmaQuant, RefusesToWriteWhatTheFormatHasNoPlaceFor) {
  const TinyModel model({.shared = 0, .per_layer_width = 0, .experts = 4}, 1);
  const auto refusal = [&](const std::function<void(std::vector<TensorSpec>&)>& edit) {
    std::vector<TensorSpec> tensors = expected_tensors(model.config);
    edit(tensors);
    TemporaryFolder scratch;
    const auto written = write_checkpoint(scratch / "folder", Container::kSafetensors, model.config, model.vocabulary,
                                          tensors, [](const TensorSpec&, const ByteSink&) { return success(); });
    return written.ok() ? "" : written.error().message;
  };
  const auto quantize = [](const std::string& ending, int64_t groups) {
    return [ending, groups](std::vector<TensorSpec>& tensors) {
      for (TensorSpec& spec : tensors) {
        if (!spec.name.ends_with(ending)) continue;
        spec.dtype = DType::kI4;
        spec.scale_groups = groups;
      }
    };
  };
  EXPECT_NE(refusal(quantize("experts.down_proj", 1)).find("linear layers and embeddings alone"), std::string::npos);
  EXPECT_NE(refusal(quantize("mlp.up_proj.weight", 2)).find("2 scales a row"), std::string::npos);
  const std::string of_floats = refusal([](std::vector<TensorSpec>& tensors) {
    tensors.front().dtype = DType::kI8;
    tensors.front().scale_groups = 1;
    tensors.push_back({"model.layers.0.mlp.up_proj.input_activation_scale", DType::kF32, {}});
  });
  EXPECT_NE(of_floats.find("no static quantizers around a layer of floats"), std::string::npos) << of_floats;
}

TEST(GemmaQuant, RefusesRulesThatContradictTheFiles) {
  EditedFolder wide("e2b_2");
  wide.rules()["layers\\.\\d+\\.mlp\\."]["num_bits"] = 4;
  wide.expect_refused(
      "model.layers.3.mlp.down_proj.weight: quantization_config gives the module 4 bits, which takes "
      "[64, 64] U8; found [64, 32] U8");
  EditedFolder order("e2b_2");
  const ordered_json rules = order.rules();
  order.rules() = ordered_json::object();
  order.rules()["layers\\.\\d+\\.mlp\\."] = {{"num_bits", 2}};
  for (const auto& [pattern, options] : rules.items()) order.rules()[pattern] = options;
  order.expect_refused("gives the module 2 bits");
  EditedFolder bytes("e2b_2");
  bytes.rules()["per_layer_(input_gate|projection)$"]["num_bits"] = 4;
  bytes.expect_refused("found [32, 64] I8; the rules contradict the files");
  EditedFolder floats("e2b_2");
  floats.config["quantization_config"]["modules_to_not_convert"] = {"lm_head"};
  floats.expect_refused("model.per_layer_model_projection.weight_scale is missing");
  EditedFolder left("e2b_2");
  left.config["quantization_config"]["modules_to_not_convert"].push_back("q_proj");
  left.expect_refused("does not quantize model.layers.0.self_attn.q_proj");
  EditedFolder embedding("e2b_2");
  embedding.config["quantization_config"]["quantize_embeddings"] = false;
  embedding.expect_refused("does not quantize model.embed_tokens");
}

TEST(GemmaQuant, RefusesRulesThatMatchNothing) {
  EditedFolder folder("e2b_2");
  folder.rules()["layers\\.9\\.mlp"] = {{"num_bits", 2}};
  folder.expect_refused("the pattern \"layers\\.9\\.mlp\" matches nothing in the files");
  EditedFolder towers("e2b_2");
  towers.rules()["vision_tower"] = {{"num_bits", 8}};
  towers.rules()["audio_tower\\..*linear_start"] = {{"num_bits", 4}};
  EXPECT_TRUE(towers.open().ok());
  EditedFolder composite("e2b_1");
  composite.rules()["vision_tower\\.nothing"] = {{"num_bits", 8}};
  composite.expect_refused("matches nothing");
}

TEST(GemmaQuant, RefusesPatternsThatTakeTooLongWithTheNames) {
  EditedFolder edited("e2b_1");
  for (int i = 0; i < 100; ++i) edited.rules()["a.{0,200}b.{0,200}" + std::to_string(i)] = {{"num_bits", 4}};
  for (int i = 0; i < 100; ++i) {
    const std::string name = "model.vision_tower." + std::string(200, 'a') + std::to_string(i) + ".weight";
    edited.tensors[name] = {"U8", {1}, "a"};
  }
  edited.expect_refused("config.json: quantization_config: its regular expressions have");
}

TEST(GemmaQuant, RefusesScalesThatAreNoScales) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {0.0f, -1.0f, kInfinity, std::nanf("")}) {
    EditedFolder row("e4b_1");
    row.set_float(std::string(kGate) + ".weight_scale", 3, bad);
    row.expect_refused("model.layers.0.mlp.gate_proj.weight_scale: the scale of row 3 is ");
    EditedFolder table("e4b_1");
    table.set_float("model.embed_tokens_per_layer.embedding_scale", 7 * 4 + 2, bad);
    table.expect_refused("embedding_scale: the scale of row 7, group 2 is ");
    if (bad == 0) continue;
    EditedFolder input("e4b_1");
    input.set_float(std::string(kGate) + ".input_activation_scale", 0, bad);
    input.expect_refused("gate_proj.input_activation_scale: the scale of a static quantizer is ");
    EditedFolder cache("e4b_1");
    cache.set_float(std::string(kAttention) + ".v_cache_scale", 0, bad);
    cache.expect_refused("self_attn.v_cache_scale: the scale of a static quantizer is ");
  }
}

TEST(GemmaQuant, ZeroAndMissingQuantizersAreNone) {
  EditedFolder folder("e4b_1");
  folder.set_float(std::string(kGate) + ".input_activation_scale", 0, 0.0f);
  folder.tensors.erase(std::string(kGate) + ".output_activation_scale");
  folder.set_float(std::string(kAttention) + ".k_cache_scale", 0, 0.0f);
  folder.set_float("model.layers.2.self_attn.k_cache_scale", 0, -0.0f);
  folder.tensors.erase(std::string(kAttention) + ".v_cache_scale");
  folder.tensors.erase("model.layers.2.self_attn.v_cache_scale");
  const Checkpoint checkpoint = folder.open().value();
  for (const char* part : {"mlp.gate_proj.input_activation_scale", "mlp.gate_proj.output_activation_scale",
                           "self_attn.k_cache_scale", "self_attn.v_cache_scale"}) {
    EXPECT_EQ(checkpoint.find(std::string("model.layers.0.") + part), nullptr) << part;
    EXPECT_NE(checkpoint.find(std::string("model.layers.1.") + part), nullptr) << part;
  }
}

TEST(GemmaQuant, RefusesTensorsOfAnotherForm) {
  EditedFolder rows("e4b_1");
  rows.tensors.at(std::string(kGate) + ".weight_scale") = {"F32", {32, 1}, std::string(128, '\1')};
  rows.expect_refused("gate_proj.weight_scale: expected [64, 1] F32, found [32, 1] F32");
  EditedFolder groups("e4b_1");
  groups.tensors.at("model.embed_tokens_per_layer.embedding_scale").shape = {640, 2};
  groups.expect_refused("expected [320, 4] F32, found [640, 2] F32");
  EditedFolder type("e4b_1");
  type.tensors.at(std::string(kGate) + ".weight_scale") = {"BF16", {64, 1}, std::string(128, '\1')};
  type.expect_refused("expected [64, 1] F32, found [64, 1] BF16");
  EditedFolder scalar("e4b_1");
  scalar.tensors.at(std::string(kGate) + ".input_activation_scale") = {"F32", {2}, std::string(8, '\1')};
  scalar.expect_refused("expected one F32 or BF16 number, found [2] F32");
  EditedFolder missing("e4b_1");
  missing.tensors.erase(std::string(kGate) + ".weight_scale");
  missing.expect_refused("gate_proj.weight_scale is missing");
  EditedFolder packed("e4b_1");
  packed.tensors.at(std::string(kGate) + ".weight") = {"U8", {64, 31}, std::string(64 * 31, '\1')};
  packed.expect_refused("gives the module 4 bits, which takes [64, 32] U8; found [64, 31] U8");
  EditedFolder bias("e4b_1");
  bias.tensors[std::string(kGate) + ".bias"] = {"F32", {64}, std::string(256, '\1')};
  bias.expect_refused("gate_proj.bias: a quantized linear layer has no such tensor");
  EditedFolder norm("e4b_1");
  norm.tensors.at("model.norm.weight") = {"I32", {64}, std::string(256, '\1')};
  norm.expect_refused("model.norm.weight: type \"I32\" is not supported");
}

TEST(GemmaQuant, RefusesAHeadThatIsNotTheEmbedding) {
  EditedFolder codes("e2b_3");
  codes.tensors.at("lm_head.weight").bytes[100] ^= 1;
  codes.expect_refused("lm_head and embed_tokens: lm_head.weight is not embed_tokens.embedding_quantized");
  EditedFolder scales("e2b_3");
  scales.set_float("lm_head.weight_scale", 5, 1.0f);
  scales.expect_refused("lm_head.weight_scale is not embed_tokens.embedding_scale");
  EditedFolder widths("e2b_3");
  widths.rules()["lm_head"]["num_bits"] = 8;
  widths.expect_refused("quantization_config gives them different widths");
  EditedFolder absent("e2b_3");
  std::erase_if(absent.tensors, [](const auto& entry) { return entry.first.starts_with("lm_head."); });
  absent.expect_refused("lm_head is missing");
  absent.config["tie_word_embeddings"] = true;
  EXPECT_TRUE(absent.open().ok());
}

TEST(GemmaQuant, RefusesCacheScalesThatAreNotTheOwners) {
  EditedFolder folder("e2b_3");  // layer 3 reads the keys and values of layer 1
  folder.set_float("model.layers.3.self_attn.v_cache_scale", 0, 0.5f);
  folder.expect_refused("layer 3 has the v_cache_scale 0.5, but layer 1, whose keys and values it reads, has ");
  EditedFolder absent("e2b_3");
  absent.tensors.erase("model.layers.3.self_attn.v_cache_scale");
  EXPECT_TRUE(absent.open().ok());
  absent.tensors["model.layers.3.self_attn.v_cache_scale"] =
      absent.tensors.at("model.layers.1.self_attn.v_cache_scale");
  absent.tensors.erase("model.layers.1.self_attn.v_cache_scale");
  absent.expect_refused("has 0; expected the same");
}

TEST(GemmaQuant, LeavesOutKeysAndValuesThatNobodyReads) {
  EditedFolder folder("e2b_3");
  for (const char* part : {".weight", ".weight_scale", ".input_activation_scale", ".output_activation_scale"}) {
    folder.tensors[std::string("model.layers.3.self_attn.k_proj") + part] =
        folder.tensors.at(std::string("model.layers.1.self_attn.k_proj") + part);
  }
  EXPECT_EQ(folder.open().value().find("model.layers.3.self_attn.k_proj.weight"), nullptr);
}

TEST(GemmaQuant, TruncatedFilesAreRefused) {
  EditedFolder folder("e4b_2");
  ASSERT_TRUE(folder.open().ok());
  const std::string whole = read(folder.folder / "model.safetensors");
  for (size_t size = 0; size < whole.size(); size += size < 1000 ? 97 : 9973) {
    ASSERT_TRUE(write_file(folder.folder / "model.safetensors", whole.substr(0, size)).ok());
    EXPECT_FALSE(Checkpoint::open(folder.folder.path()).ok()) << size;
  }
}

TEST(GemmaQuant, AModelNameStandsOnceWithAndWithoutItsPrefix) {
  EditedFolder folder("e2b_1");
  folder.tensors["model.layers.0.mlp.gate_proj.weight"] =
      folder.tensors.at("model.language_model.layers.0.mlp.gate_proj.weight");
  folder.expect_refused("is there twice");
}

}  // namespace
}  // namespace carat
