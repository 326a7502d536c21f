#include "formats/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file_map.h"
#include "base/file_write.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read(const fs::path& path) { return read_text_file(path, size_t{64} << 20).value(); }

void write(const fs::path& path, const std::string& text) { ASSERT_TRUE(write_file(path, text).ok()); }

void expect_refused(const fs::path& path, const std::string& message) {
  const auto checkpoint = Checkpoint::open(path);
  ASSERT_FALSE(checkpoint.ok()) << message;
  EXPECT_EQ(checkpoint.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(checkpoint.error().message.starts_with(path.string())) << checkpoint.error().message;
  EXPECT_NE(checkpoint.error().message.find(message), std::string::npos) << checkpoint.error().message;
}

/// Writes a checkpoint again, on the lattices of the scheme that it records.
void copy_checkpoint(const fs::path& from, const fs::path& to) {
  const Checkpoint input = Checkpoint::open(from).value();
  const Scheme* scheme = built_in_scheme(input.config().scheme);
  ASSERT_NE(scheme, nullptr);
  std::vector<TensorSpec> tensors;
  for (const auto& [name, view] : input.tensors()) {
    tensors.push_back({name, storable(container_of_path(to), scheme->lattice_of(name), name, view.shape), view.shape});
  }
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) -> Status {
    const std::vector<float> values = decode_tensor(*input.find(spec.name));
    std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
    encode(spec.dtype, values, stored);
    return sink(stored);
  };
  ASSERT_TRUE(write_checkpoint(to, input.config(), input.vocabulary(), tensors, produce).ok());
}

void expect_same_folders(const fs::path& a, const fs::path& b) {
  for (const auto& entry : fs::directory_iterator(a)) {
    EXPECT_TRUE(read(entry.path()) == read(b / entry.path().filename())) << entry.path();
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(a), {}), std::distance(fs::directory_iterator(b), {}));
}

/// Rewrites the tensors of a tiny model before they are written.
using SpecEdit = std::function<void(std::vector<TensorSpec>&)>;

void write_specs(const fs::path& path, const SpecEdit& edit, const TinyShape& shape = {}) {
  const TinyModel model(shape);
  std::vector<TensorSpec> tensors = expected_tensors(model.config);
  edit(tensors);
  const auto produce = [](const TensorSpec& spec, const ByteSink& sink) {
    return sink(std::vector<std::byte>(*tensor_bytes(spec.dtype, spec.shape)));
  };
  ASSERT_TRUE(write_checkpoint(path, model.config, model.vocabulary, tensors, produce).ok());
}

SpecEdit without(const std::string& name) {
  return [name](std::vector<TensorSpec>& tensors) {
    std::erase_if(tensors, [&](const TensorSpec& spec) { return spec.name == name; });
  };
}

SpecEdit with(const TensorSpec& tensor) {
  return [tensor](std::vector<TensorSpec>& tensors) {
    without(tensor.name)(tensors);
    tensors.push_back(tensor);
  };
}

TEST(Checkpoint, GivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  const TinyModel model({}, 3);
  for (const char* name : {"model.gguf", "folder"}) {
    for (const char* scheme : {"f32", "bf16", "q4_0"}) {
      const uint64_t bytes = model.write(folder / name, scheme).value();
      const Checkpoint checkpoint = Checkpoint::open(folder / name).value();
      EXPECT_EQ(checkpoint.config().scheme, scheme);
      EXPECT_EQ(checkpoint.config().layers.size(), model.config.layers.size());
      EXPECT_EQ(checkpoint.vocabulary().pieces, model.vocabulary.pieces);
      EXPECT_GT(bytes, 0u);
      const auto expected = expected_tensors(model.config);
      ASSERT_EQ(checkpoint.tensors().size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(checkpoint.tensors()[i].name, expected[i].name);
        std::vector<float> values = model.values(expected[i]);
        snap(built_in_scheme(scheme)->lattice_of(expected[i].name), values, values);
        EXPECT_TRUE(decode_tensor(checkpoint.tensors()[i].view) == values) << scheme << expected[i].name;
      }
    }
  }
}

TEST(Checkpoint, RoundTripThroughGgufChangesNoByteOfTheFolder) {
  const TinyShape shapes[] = {{},
                              {.pattern = "SF", .shared = 0, .per_layer_width = 0},
                              {.pattern = "FSSF", .shared = 1, .double_wide = false},
                              {.pattern = "SF", .shared = 0, .value_is_key = true, .full_kv_heads = 1, .experts = 8}};
  for (uint32_t seed = 0; seed < 4; ++seed) {
    const TemporaryFolder folder;
    const TinyModel model(shapes[seed], seed);
    for (const char* scheme : {"f32", "q4_0"}) {
      ASSERT_TRUE(model.write(folder / "a", scheme).ok());
      copy_checkpoint(folder / "a", folder / "b.gguf");
      copy_checkpoint(folder / "b.gguf", folder / "c");
      expect_same_folders(folder / "a", folder / "c");
      copy_checkpoint(folder / "c", folder / "d.gguf");
      EXPECT_TRUE(read(folder / "b.gguf") == read(folder / "d.gguf"));
    }
  }
}

TEST(Checkpoint, KeepsTheRotaryFractionThroughGguf) {
  for (const float fraction : {0.0f, 0.1f, 0.25f, 1.0f / 3.0f, 0.7f, 1.0f}) {
    const TemporaryFolder folder;
    TinyModel model({.full_head_width = 46});
    model.config.full_rotary_fraction = fraction;
    ASSERT_TRUE(model.write(folder / "m.gguf", "f32").ok());
    const ModelConfig again = Checkpoint::open(folder / "m.gguf").value().config();
    EXPECT_EQ(again.rotated_pairs(again.layers[2]), model.config.rotated_pairs(model.config.layers[2])) << fraction;
    if (fraction == 0.25f) {
      EXPECT_EQ(again.full_rotary_fraction, fraction);
    }
  }
}

TEST(Checkpoint, OpensTheBundledModels) {
  const fs::path root = CARAT_SOURCE_DIR;
  for (const fs::path& folder : fs::directory_iterator(root / "tests/golden/transformers")) {
    const auto checkpoint = Checkpoint::open(folder);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  }
}

TEST(Checkpoint, EveryTruncationOfAGgufFileIsRefused) {
  const TemporaryFolder folder;
  const TinyModel model({.pattern = "F",
                         .shared = 0,
                         .hidden = 32,
                         .heads = 1,
                         .kv_heads = 1,
                         .full_head_width = 32,
                         .ffn_width = 32,
                         .per_layer_width = 0});
  ASSERT_TRUE(model.write(folder / "m.gguf", "q4_0").ok());
  const std::string bytes = read(folder / "m.gguf");
  // The data section is all alike: every byte of what lies before it, then one in 97.
  for (size_t size = 0; size + 32 < bytes.size(); size += size < 12000 ? 1 : 97) {
    std::ofstream(folder / "cut.gguf", std::ios::binary) << bytes.substr(0, size);
    EXPECT_FALSE(Checkpoint::open(folder / "cut.gguf").ok()) << size;
  }
}

TEST(Checkpoint, RefusesMissingFiles) {
  const TemporaryFolder folder;
  expect_refused(folder / "nothing", "there is no such file or folder");
  expect_refused(folder.path(), "config.json: is missing; name a .gguf file or a HuggingFace folder");
  std::ofstream(folder / "some.gguf") << "GGUF";
  expect_refused(folder.path(), "the folder holds GGUF files: name one, some.gguf");
  for (const char* name : {"tokenizer.json", "model.safetensors", "config.json"}) {
    ASSERT_TRUE(TinyModel().write(folder / "m", "f32").ok());
    fs::remove(folder / "m" / name);
    expect_refused(folder / "m", name);
  }
}

TEST(Checkpoint, DoesWithoutTheOptionalFiles) {
  const TemporaryFolder folder;
  ASSERT_TRUE(TinyModel().write(folder / "m", "f32").ok());
  for (const char* name : {"generation_config.json", "chat_template.jinja", "tokenizer_config.json"}) {
    ASSERT_TRUE(fs::remove(folder / "m" / name)) << name;
  }
  const Checkpoint checkpoint = Checkpoint::open(folder / "m").value();
  EXPECT_EQ(checkpoint.vocabulary().stop, std::vector<int32_t>{1});
  EXPECT_TRUE(checkpoint.vocabulary().chat_template.empty());
}

TEST(Checkpoint, NamesTheTensorThatIsMissing) {
  const TemporaryFolder folder;
  write_specs(folder / "m.gguf", without("model.layers.1.self_attn.k_proj.weight"));
  expect_refused(folder / "m.gguf", "blk.1.attn_k.weight: is missing; expected [64, 64]");
  write_specs(folder / "m", without("model.layers.1.self_attn.k_proj.weight"));
  expect_refused(folder / "m", "model.layers.1.self_attn.k_proj.weight: is missing; expected [64, 64]");
}

TEST(Checkpoint, ALayerScalarMayBeMissing) {
  const TemporaryFolder folder;
  for (const char* name : {"m.gguf", "m"}) {
    write_specs(folder / name, without("model.layers.0.layer_scalar"));
    const Checkpoint checkpoint = Checkpoint::open(folder / name).value();
    EXPECT_EQ(checkpoint.find("model.layers.0.layer_scalar"), nullptr);
    EXPECT_NE(checkpoint.find("model.layers.1.layer_scalar"), nullptr);
  }
}

TEST(Checkpoint, SaysWhichShapeItExpected) {
  const TemporaryFolder folder;
  write_specs(folder / "m.gguf", with({"model.layers.2.self_attn.q_proj.weight", DType::kF32, {256, 63}}));
  expect_refused(folder / "m.gguf", "blk.2.attn_q.weight: expected [256, 64] F32, found [256, 63] F32");
  write_specs(folder / "m", with({"model.norm.weight", DType::kF32, {64, 1}}));
  expect_refused(folder / "m", "model.norm.weight: expected [64] F32, found [64, 1] F32");
}

TEST(Checkpoint, RefusesVectorsOfAnotherTypeInGguf) {
  const TemporaryFolder folder;
  write_specs(folder / "m.gguf", [](auto&) {});
  std::string bytes = read(folder / "m.gguf");
  const std::string name = "output_norm.weight";
  const size_t type = bytes.rfind(name) + name.size() + 4 + 8;
  bytes[type] = 1;
  write(folder / "m.gguf", bytes);
  expect_refused(folder / "m.gguf", "output_norm.weight: expected [64] F32, found [64] F16");
}

TEST(Checkpoint, LeavesOutKeysAndValuesThatNobodyReads) {
  const TemporaryFolder folder;
  const std::string dead = "model.layers.5.self_attn.k_proj.weight";
  for (const char* name : {"m.gguf", "m"}) {
    write_specs(folder / name, with({dead, DType::kF32, {128, 64}}));
    EXPECT_EQ(Checkpoint::open(folder / name).value().find(dead), nullptr);
  }
}

TEST(Checkpoint, ReadsTheTextOfACompositeFolder) {
  const TemporaryFolder folder;
  write_specs(folder / "m", [](std::vector<TensorSpec>& tensors) {
    for (TensorSpec& spec : tensors) spec.name.insert(std::string("model.").size(), "language_model.");
    for (const char* part :
         {"vision_tower.x", "audio_tower.y", "embed_vision.z", "embed_audio.z", "vision_embedder.x"}) {
      tensors.push_back({std::string("model.") + part, DType::kF16, {3}});
    }
  });
  const json text = json::parse(read(folder / "m/config.json"));
  write(folder / "m/config.json", json({{"model_type", "gemma4"}, {"text_config", text}}).dump());
  const Checkpoint checkpoint = Checkpoint::open(folder / "m").value();
  EXPECT_EQ(checkpoint.tensors().size(), expected_tensors(checkpoint.config()).size());
  EXPECT_EQ(checkpoint.find("model.vision_tower.x"), nullptr);
}

/// Puts a tensor of 6 bytes at the end of a .safetensors file.
void append_tensor(const fs::path& path, const std::string& name, const std::string& dtype) {
  const std::string bytes = read(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  json header = json::parse(bytes.substr(sizeof length, length));
  const std::string data = bytes.substr(sizeof length + length);
  header[name] = {{"dtype", dtype}, {"shape", {6}}, {"data_offsets", {data.size(), data.size() + 6}}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  length = text.size();
  write(path, std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data + "123456");
}

TEST(Checkpoint, TowersMayHaveTypesThatNobodyReads) {
  for (const char* dtype : {"I8", "U8", "BOOL", "F8_E4M3", "F4"}) {
    const TemporaryFolder folder;
    write_specs(folder / "m", [](auto&) {});
    append_tensor(folder / "m/model.safetensors", "model.vision_tower.layers.0.weight", dtype);
    append_tensor(folder / "m/model.safetensors", "model.audio_tower.scale", "BOOL");
    EXPECT_TRUE(Checkpoint::open(folder / "m").ok()) << dtype;
    append_tensor(folder / "m/model.safetensors", "model.language_model.layers.1.scale", dtype);
    expect_refused(folder / "m", "model.language_model.layers.1.scale: type \"" + std::string(dtype) + "\"");
  }
}

TEST(Checkpoint, ShardsMayHoldTowersOfTypesThatNobodyReads) {
  const TemporaryFolder folder;
  write_specs(folder / "m", [](auto&) {});
  append_tensor(folder / "m/model.safetensors", "model.vision_tower.x", "I8");
  fs::rename(folder / "m/model.safetensors", folder / "m/a.safetensors");
  json index = {{"weight_map", {{"model.vision_tower.x", "a.safetensors"}}}};
  for (const TensorSpec& spec : expected_tensors(TinyModel().config)) index["weight_map"][spec.name] = "a.safetensors";
  write(folder / "m/model.safetensors.index.json", index.dump());
  EXPECT_TRUE(Checkpoint::open(folder / "m").ok());
}

TEST(Checkpoint, LeavesOutACopyOfATiedHead) {
  const TemporaryFolder folder;
  write_specs(folder / "m", with({"lm_head.weight", DType::kF32, {270, 64}}));
  EXPECT_EQ(Checkpoint::open(folder / "m").value().find("lm_head.weight"), nullptr);
  write_specs(folder / "m.gguf", with({"lm_head.weight", DType::kF32, {270, 64}}));
  expect_refused(folder / "m.gguf", "output.weight: a head apart from the embedding");
}

const TinyShape kExperts = {.pattern = "SF",
                            .shared = 0,
                            .per_layer_width = 0,
                            .value_is_key = true,
                            .full_kv_heads = 1,
                            .experts = 8,
                            .expert_width = 96};

/// Writes the gates and ups of the experts of layer 1 as two tensors.
void write_apart(const fs::path& path) {
  const std::string layer = "model.layers.1.experts.";
  write_specs(
      path,
      [&](std::vector<TensorSpec>& tensors) {
        without(layer + "gate_up_proj")(tensors);
        tensors.push_back({layer + "gate_proj", DType::kF32, {8, 96, 64}});
        tensors.push_back({layer + "up_proj", DType::kF32, {8, 96, 64}});
      },
      kExperts);
}

TEST(Checkpoint, ExpertsMayHaveGatesAndUpsApart) {
  const TemporaryFolder folder;
  for (const char* name : {"m.gguf", "m"}) {
    write_apart(folder / name);
    const Checkpoint checkpoint = Checkpoint::open(folder / name).value();
    EXPECT_NE(checkpoint.find("model.layers.0.experts.gate_up_proj"), nullptr);
    EXPECT_EQ(checkpoint.find("model.layers.1.experts.gate_up_proj"), nullptr);
    EXPECT_EQ(checkpoint.find("model.layers.1.experts.gate_proj")->shape, (Shape{8, 96, 64}));
    EXPECT_EQ(checkpoint.find("model.layers.1.experts.up_proj")->shape, (Shape{8, 96, 64}));
  }
}

TEST(Checkpoint, RefusesExpertsThatAreMissingOrThereTwice) {
  const TemporaryFolder folder;
  const std::string names = "model.layers.1.experts.";
  const auto expect_edit_refused = [&](const SpecEdit& edit, const std::string& message) {
    write_specs(folder / "m.gguf", edit, kExperts);
    expect_refused(folder / "m.gguf", message);
  };
  expect_edit_refused(without(names + "gate_up_proj"), "blk.1.ffn_gate_up_exps.weight: is missing");
  expect_edit_refused(without(names + "down_proj"), "blk.1.ffn_down_exps.weight: is missing; expected [8, 64, 96]");
  expect_edit_refused(without("model.layers.1.router.scale"), "blk.1.ffn_gate_inp.scale: is missing");
  expect_edit_refused(with({names + "gate_up_proj", DType::kF32, {7, 192, 64}}),
                      "blk.1.ffn_gate_up_exps.weight: expected [8, 192, 64] F32, found [7, 192, 64] F32");
  expect_edit_refused(with({names + "gate_proj", DType::kF32, {8, 96, 64}}),
                      "blk.1.ffn_gate_exps.weight: is there beside the tensor that holds gates and ups together");
  expect_edit_refused(
      [&](std::vector<TensorSpec>& tensors) {
        without(names + "gate_up_proj")(tensors);
        tensors.push_back({names + "up_proj", DType::kF32, {8, 96, 64}});
      },
      "blk.1.ffn_gate_exps.weight: is missing; expected [8, 96, 64]");
}

TEST(Checkpoint, AGgufFileUsesKeysAsValuesWhereValuesAreMissing) {
  const TemporaryFolder folder;
  const TinyShape shape = {.pattern = "SFSFF", .shared = 1, .value_is_key = true};
  ASSERT_TRUE(TinyModel(shape).write(folder / "m.gguf", "f32").ok());
  const ModelConfig config = Checkpoint::open(folder / "m.gguf").value().config();
  for (const LayerConfig& layer : config.layers) {
    EXPECT_EQ(layer.value_is_key, layer.attention == AttentionType::kFull);
  }
  write_specs(folder / "m.gguf", without("model.layers.1.self_attn.v_proj.weight"), {.pattern = "SFSFF", .shared = 1});
  expect_refused(folder / "m.gguf", "blk.1.attn_v.weight: is missing, but other layers of full attention have theirs");
  write_specs(folder / "m.gguf", without("model.layers.2.self_attn.v_proj.weight"), shape);
  expect_refused(folder / "m.gguf", "blk.2.attn_v.weight: is missing; expected");
}

TEST(Checkpoint, RefusesAConfigThatContradictsTheTensors) {
  const TemporaryFolder folder;
  ASSERT_TRUE(TinyModel({.pattern = "SFSF", .shared = 0}).write(folder / "m", "f32").ok());
  const json original = json::parse(read(folder / "m/config.json"));
  const auto expect_change_refused = [&](const char* member, const json& value, const std::string& message) {
    json changed = original;
    changed[member] = value;
    write(folder / "m/config.json", changed.dump());
    expect_refused(folder / "m", message);
  };
  expect_change_refused("hidden_size", 32, "expected [270, 32] F32, found [270, 64] F32");
  expect_change_refused("intermediate_size", 128, "mlp.gate_proj.weight: expected [128, 64]");
  expect_change_refused("hidden_size_per_layer_input", 0, "has no such tensor");
  json other_vocabulary = original;
  other_vocabulary["vocab_size"] = other_vocabulary["vocab_size_per_layer_input"] = 280;
  write(folder / "m/config.json", other_vocabulary.dump());
  expect_refused(folder / "m", "280 vocabulary entries, its tokenizer 270 pieces");
}

TEST(Checkpoint, RefusesLayersThatTheConfigDoesNotKnow) {
  const TemporaryFolder folder;
  ASSERT_TRUE(TinyModel({.pattern = "SFSF", .shared = 0, .per_layer_width = 0}).write(folder / "m", "f32").ok());
  json shorter = json::parse(read(folder / "m/config.json"));
  shorter["num_hidden_layers"] = 2;
  shorter["layer_types"] = {"sliding_attention", "full_attention"};
  write(folder / "m/config.json", shorter.dump());
  expect_refused(folder / "m", "model.layers.2.input_layernorm.weight: the model's configuration has no such tensor");
}

TEST(Checkpoint, ReadsShards) {
  const TemporaryFolder folder;
  const fs::path model = folder / "m";
  ASSERT_TRUE(TinyModel().write(model, "f32").ok());
  fs::rename(model / "model.safetensors", model / "model-1-of-1.safetensors");
  json index;
  const TinyModel tiny;
  for (const TensorSpec& spec : expected_tensors(tiny.config))
    index["weight_map"][spec.name] = "model-1-of-1.safetensors";
  const auto write_index = [&](const json& changed) { write(model / "model.safetensors.index.json", changed.dump()); };
  write_index(index);
  EXPECT_TRUE(Checkpoint::open(model).ok());

  json fewer = index;
  fewer["weight_map"].erase("model.norm.weight");
  write_index(fewer);
  expect_refused(model, "model.norm.weight: model.safetensors.index.json does not place it in this file");
  json more = index;
  more["weight_map"]["model.extra"] = "model-1-of-1.safetensors";
  write_index(more);
  expect_refused(model, "model.extra is missing");
  json beyond = index;
  beyond["weight_map"]["model.norm.weight"] = "\x1b[2J-2-of-2.safetensors";
  write_index(beyond);
  expect_refused(model, "index.json: names \"\\x1b[2J-2-of-2.safetensors\", which is missing; copy it into the folder");
  for (const char* stranger : {"../model.safetensors", "/etc/passwd", "sub/x.safetensors", "passwd", ""}) {
    json outside = index;
    outside["weight_map"]["model.norm.weight"] = stranger;
    write_index(outside);
    expect_refused(model, "expected a .safetensors file of this folder");
  }
}

TEST(Checkpoint, RefusesToWriteRowsThatAreNoWholeBlocks) {
  const TemporaryFolder folder;
  const auto written = TinyModel({.hidden = 48}).write(folder / "m.gguf", "q4_0");
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("rows of 48 values cannot be stored as Q4_0"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder / "m.gguf"));
}

TEST(Checkpoint, AnErrorOfTheProducerLeavesNothingBehind) {
  const TemporaryFolder folder;
  const TinyModel model;
  fs::create_directory(folder / "old");
  for (const char* name : {"m.gguf", "m", "old"}) {
    const auto stop = [](const TensorSpec&, const ByteSink&) -> Status { return failed("stopped"); };
    EXPECT_FALSE(
        write_checkpoint(folder / name, model.config, model.vocabulary, expected_tensors(model.config), stop).ok());
  }
  EXPECT_FALSE(fs::exists(folder / "m.gguf"));
  EXPECT_FALSE(fs::exists(folder / "m"));
  EXPECT_TRUE(fs::is_empty(folder / "old"));
}

/// Lets no file grow beyond a size, as a full disk would, until the end of the scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_{};
  void (*signal_)(int);
};

TEST(Checkpoint, AFullDiskKeepsTheOldFilesWhole) {
  const TemporaryFolder folder;
  for (const char* name : {"m.gguf", "m"}) {
    ASSERT_TRUE(TinyModel({}, 1).write(folder / name, "f32").ok());
  }
  copy_checkpoint(folder / "m", folder / "copy");
  const std::string gguf = read(folder / "m.gguf");
  for (const rlim_t bytes : {0, 1000, 5000, 100'000}) {
    const FileSizeLimit limit(bytes);
    for (const char* name : {"m.gguf", "m"}) {
      const auto written = TinyModel({}, 2).write(folder / name, "f32");
      ASSERT_FALSE(written.ok()) << bytes;
      EXPECT_EQ(written.error().kind, ErrorKind::kFailed);
    }
  }
  EXPECT_TRUE(read(folder / "m.gguf") == gguf);
  expect_same_folders(folder / "copy", folder / "m");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 3);
}

/// The scheme of a model that records `recorded` and stores its matrices as `stored` does.
std::string scheme_read(const fs::path& path, const char* recorded, const char* stored) {
  TinyModel model;
  const Scheme* scheme = built_in_scheme(stored);
  model.config.scheme = recorded;
  std::vector<TensorSpec> tensors = expected_tensors(model.config);
  for (TensorSpec& spec : tensors) {
    spec.dtype = storable(container_of_path(path), scheme->lattice_of(spec.name), spec.name, spec.shape);
  }
  const auto produce = [](const TensorSpec& spec, const ByteSink& sink) {
    return sink(std::vector<std::byte>(*tensor_bytes(spec.dtype, spec.shape)));
  };
  CARAT_CHECK(write_checkpoint(path, model.config, model.vocabulary, tensors, produce).ok(), "a model");
  return Checkpoint::open(path).value().config().scheme;
}

TEST(Checkpoint, ARecordedSchemeThatTheTypesContradictDoesNotCount) {
  const TemporaryFolder folder;
  for (const char* scheme : {"f32", "f16", "bf16", "q8_0", "q4_0"}) {
    for (const char* name : {"m.gguf", "m"}) {
      EXPECT_EQ(scheme_read(folder / name, scheme, scheme), scheme) << name;
      EXPECT_EQ(scheme_read(folder / name, "mine", scheme), "mine") << name;
    }
    if (std::string_view(scheme) == "q8_0") continue;
    EXPECT_EQ(scheme_read(folder / "m.gguf", scheme, "q8_0"), "") << scheme;
  }
  // Floats may be the image of blocks, and no image is wider than it has to be.
  for (const char* floats : {"f32", "bf16", "f16"}) EXPECT_EQ(scheme_read(folder / "m", "q4_0", floats), "q4_0");
  EXPECT_EQ(scheme_read(folder / "m", "f32", "f16"), "");
  EXPECT_EQ(scheme_read(folder / "m", "bf16", "f16"), "");
  for (const char* floats : {"bf16", "f16"}) EXPECT_EQ(scheme_read(folder / "m", floats, "f32"), "");
  EXPECT_EQ(scheme_read(folder / "m.gguf", "q4_0", "f32"), "");
}

TEST(Checkpoint, EveryContainerHasATypeForCodes) {
  const auto in = [](Container container, DType codes, int64_t columns) {
    return storable(container, codes, "model.layers.0.mlp.up_proj.weight", {32, columns});
  };
  for (const Container folder : {Container::kSafetensors, Container::kCompressedTensors}) {
    EXPECT_EQ(in(folder, DType::kI8, 32), DType::kI8);
    EXPECT_EQ(in(folder, DType::kI4, 32), DType::kI4);
    EXPECT_EQ(in(folder, DType::kS4, 32), DType::kI4);
    EXPECT_EQ(in(folder, DType::kS2, 32), DType::kI2);
  }
  EXPECT_EQ(in(Container::kGguf, DType::kI8, 32), DType::kQ8_0);
  EXPECT_EQ(in(Container::kGguf, DType::kS4, 32), DType::kQ4_0);
  EXPECT_EQ(in(Container::kGguf, DType::kI2, 128), DType::kQ2_0);
  EXPECT_EQ(in(Container::kGguf, DType::kI2, 96), DType::kQ4_0);
  EXPECT_EQ(storable(Container::kGguf, DType::kF32, "model.layers.0.self_attn.k_cache_scale", {}), DType::kF32);
}

TEST(Checkpoint, StaticQuantizersAreNumbersAboveZero) {
  const TemporaryFolder folder;
  const std::string known = "model.layers.0.mlp.up_proj.output_activation_scale";
  write_specs(folder / "m", with({known, DType::kF32, {}}));
  expect_refused(folder / "m", known + ": expected a scale above zero, found 0");
  write_specs(folder / "m", with({known, DType::kF32, {1}}));
  expect_refused(folder / "m", known + ": expected one F32 or BF16 number, found [1] F32");
  for (const std::string unknown :
       {"model.layers.0.mlp.input_activation_scale", "model.layers.5.self_attn.k_cache_scale"}) {
    write_specs(folder / "m", with({unknown, DType::kF32, {}}));
    expect_refused(folder / "m", unknown + ": the model's configuration has no such tensor");
  }
}

TEST(Checkpoint, ATemplateMayStandInTheConfigurationOfTheTokenizer) {
  const TemporaryFolder folder;
  write_specs(folder / "m", [](auto&) {});
  const fs::path config = folder / "m/tokenizer_config.json";
  const auto read_with = [&](const json& found) {
    json root;
    root["chat_template"] = found;
    write(config, root.dump());
    return Checkpoint::open(folder / "m").value().vocabulary().chat_template;
  };
  EXPECT_EQ(read_with("old"), TinyModel().vocabulary.chat_template);
  fs::remove(folder / "m/chat_template.jinja");
  EXPECT_EQ(read_with("{{ bos_token }}"), "{{ bos_token }}");
  EXPECT_EQ(read_with(nullptr), "");
  EXPECT_EQ(read_with(json::array()), "");
  const json tools = {{"name", "tool_use"}, {"template", "tools"}};
  const json plain = {{"name", "default"}, {"template", "plain"}};
  json list;
  list.push_back(tools);
  EXPECT_EQ(read_with(list), "");
  list.push_back(plain);
  EXPECT_EQ(read_with(list), "plain");
  fs::remove(config);
  EXPECT_EQ(Checkpoint::open(folder / "m").value().vocabulary().chat_template, "");
}

TEST(Checkpoint, RefusesADamagedConfigurationOfTheTokenizer) {
  const TemporaryFolder folder;
  write_specs(folder / "m", [](auto&) {});
  fs::remove(folder / "m/chat_template.jinja");
  const auto expect_content_refused = [&](const std::string& content, const std::string& message) {
    write(folder / "m/tokenizer_config.json", content);
    expect_refused(folder / "m", "tokenizer_config.json: " + message);
  };
  expect_content_refused(R"({"chat_template": "{{)", "is no valid JSON");
  expect_content_refused("[]", "expected a JSON object");
  expect_content_refused(R"({"chat_template": 1})", "chat_template: expected a string, found number");
  expect_content_refused(R"({"chat_template": {}})", "chat_template: expected a string, found object");
  expect_content_refused(R"({"chat_template": ["a"]})", "chat_template: expected objects, found string");
  expect_content_refused(R"({"chat_template": [{"name": 1}]})", "chat_template: name: expected a string");
  expect_content_refused(R"({"chat_template": [{"name": "default"}]})", "chat_template: template: is missing");
  const std::string longest(size_t{1} << 20, 'x');
  expect_content_refused(json({{"chat_template", longest + "x"}}).dump(), "chat_template: has 1048577 bytes");
  write(folder / "m/tokenizer_config.json", json({{"chat_template", longest}}).dump());
  EXPECT_TRUE(Checkpoint::open(folder / "m").ok());
}

TEST(Checkpoint, WritingOverAnotherModelLeavesNoneOfItsFilesInUse) {
  const TemporaryFolder folder;
  ASSERT_TRUE(TinyModel({}, 1).write(folder / "m", "f32").ok());
  TinyModel next({}, 2);
  next.vocabulary.chat_template.clear();
  ASSERT_TRUE(next.write(folder / "m", "f32").ok());
  EXPECT_TRUE(Checkpoint::open(folder / "m").value().vocabulary().chat_template.empty());
}

}  // namespace
}  // namespace carat
