#include "formats/litertlm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <unordered_map>

#include "base/file_write.h"
#include "formats/checkpoint.h"
#include "formats/convert.h"
#include "formats/safetensors.h"
#include "formats/tflite.h"
#include "lattice/lattice.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

// Written by tests/oracle/litertlm_bundle.py from the model.
const fs::path kBundle = fs::path(CARAT_SOURCE_DIR) / "tests/golden/litertlm/e2b_1.litertlm";
const fs::path kModel = fs::path(CARAT_SOURCE_DIR) / "tests/golden/mobile/e2b_1";
const std::string kProjection = "model.per_layer_model_projection.";

/// A copy of the bundle that can be changed before it is opened.
struct EditedBundle {
  std::string bytes = read_text_file(kBundle, size_t{1} << 20).value();

  LitertlmContent content() const { return parse_litertlm(as_bytes(bytes), "bundle").value(); }

  /// Of the part of the bundle that `view` shows.
  char* at(Bytes view) { return bytes.data() + (reinterpret_cast<const char*>(view.data()) - bytes.data()); }

  template <typename T>
  void put(size_t place, T value) {
    std::memcpy(bytes.data() + place, &value, sizeof value);
  }

  TfliteGraph decoder() const {
    const LitertlmContent found = content();
    return read_tflite(found.find(LitertlmKind::kTfliteModel, "tf_lite_prefill_decode")->data, "decode", name).value();
  }

  /// The first tensor with this in its name.
  TfliteTensor tensor(std::string_view part) const {
    for (const TfliteTensor& tensor : decoder().tensors) {
      if (tensor.name.find(part) != std::string_view::npos) return tensor;
    }
    ADD_FAILURE() << part;
    return {};
  }

  void replace(std::string_view old, std::string_view text) {
    for (size_t place = bytes.find(old); place != std::string::npos; place = bytes.find(old, place + 1)) {
      bytes.replace(place, text.size(), text);
    }
  }

  Result<Checkpoint> open() const {
    CARAT_TRY_STATUS(write_file(folder / "m.litertlm", bytes));
    return Checkpoint::open(folder / "m.litertlm");
  }

  std::string refusal() const {
    const Result<Checkpoint> opened = open();
    if (opened.ok()) return "was opened";
    EXPECT_EQ(opened.error().kind, ErrorKind::kRefused);
    return opened.error().message;
  }

  TemporaryFolder folder;
  std::string name = "decoder";
};

void expect_refused(const EditedBundle& bundle, const std::string& part) {
  const std::string message = bundle.refusal();
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Litertlm, ListsItsSections) {
  const EditedBundle bundle;
  const LitertlmContent content = bundle.content();
  EXPECT_EQ(content.version, "1.7.0");
  ASSERT_EQ(content.sections.size(), 5u);
  EXPECT_EQ(litertlm_kind_name(content.sections[0].kind), "LlmMetadataProto");
  EXPECT_EQ(litertlm_kind_name(content.sections[1].kind), "SP_Tokenizer");
  EXPECT_EQ(content.sections[4].model_type, "tf_lite_prefill_decode");
  for (const LitertlmSection& section : content.sections) EXPECT_EQ(section.begin % 16384, 0u);
  EXPECT_EQ(content.find(LitertlmKind::kTfliteModel, "tf_lite_vision_encoder"), nullptr);
  EXPECT_EQ(litertlm_kind_name(static_cast<LitertlmKind>(77)), "section type 77");
}

TEST(Litertlm, HasTheShapeAndTheVocabularyOfItsModel) {
  const Checkpoint bundle = Checkpoint::open(kBundle).value();
  const Checkpoint model = Checkpoint::open(kModel).value();
  EXPECT_EQ(bundle.container(), Container::kLitertlm);
  EXPECT_EQ(bundle.config().heads, model.config().heads);
  EXPECT_EQ(bundle.config().sliding_window, 512);
  EXPECT_EQ(bundle.config().softcap, 30.0f);
  ASSERT_EQ(bundle.config().layer_count(), model.config().layer_count());
  for (size_t l = 0; l < model.config().layers.size(); ++l) {
    const LayerConfig& found = bundle.config().layers[l];
    const LayerConfig& expected = model.config().layers[l];
    EXPECT_EQ(found.attention, expected.attention);
    EXPECT_EQ(found.kv_heads, expected.kv_heads);
    EXPECT_EQ(found.ffn_width, expected.ffn_width);
    EXPECT_EQ(found.kv_layer, expected.kv_layer);
  }
  EXPECT_EQ(bundle.vocabulary().pieces, model.vocabulary().pieces);
  EXPECT_EQ(bundle.vocabulary().stop, (std::vector<int32_t>{1, 16}));
  EXPECT_EQ(bundle.vocabulary().chat_template, "{{ bos_token }}");
  EXPECT_EQ(bundle.vocabulary().sampling.top_k, 40);
  EXPECT_EQ(bundle.vocabulary().sampling.temperature, 0.75f);
}

/// The values, and the integers and scales behind them.
void expect_same(const TensorView& found, const TensorView& expected, const std::string& name) {
  EXPECT_EQ(found.shape, expected.shape) << name;
  EXPECT_EQ(decode_tensor(found), decode_tensor(expected)) << name;
  EXPECT_EQ(as_text(found.scales.data), as_text(expected.scales.data)) << name;
}

TEST(Litertlm, HoldsTheIntegersAndScalesOfItsModel) {
  const Checkpoint bundle = Checkpoint::open(kBundle).value();
  const Checkpoint model = Checkpoint::open(kModel).value();
  size_t compared = 0;
  for (const NamedTensor& tensor : bundle.tensors()) {
    if (tensor.name.starts_with(kProjection) || tensor.name.find("per_layer.") != std::string::npos) continue;
    const TensorView* expected = model.find(tensor.name);
    ASSERT_NE(expected, nullptr) << tensor.name;
    expect_same(tensor.view, *expected, tensor.name);
    ++compared;
  }
  // The table is one tensor there, and three here; the projection has scales of its own here.
  EXPECT_EQ(compared, model.tensors().size() - 2);
  EXPECT_EQ(bundle.tensors().size(), compared + 3 + 3);
}

TEST(Litertlm, BecomesAFolderWithTheSameBytes) {
  const TemporaryFolder folder;
  const Checkpoint bundle = Checkpoint::open(kBundle).value();
  const auto go_on = [](uint64_t, uint64_t) { return true; };
  const Conversion done = convert_checkpoint(bundle, folder / "m", {}, go_on).value();
  EXPECT_EQ(done.moved_weights, 0u);
  EXPECT_EQ(done.left_out_scales, 0);
  const SafetensorsFile written = SafetensorsFile::open(folder / "m/model.safetensors").value();
  const SafetensorsFile original = SafetensorsFile::open(kModel / "model.safetensors").value();
  std::unordered_map<std::string, const StoredTensor*> found;
  for (const StoredTensor& tensor : written.tensors()) found[tensor.name] = &tensor;
  size_t compared = 0;
  for (const StoredTensor& expected : original.tensors()) {
    std::string name = expected.name;
    if (expected.shape.size() == 1) continue;  // norms, whose type is another
    if (name.find("vision") != std::string::npos || name.find("per_layer_model_projection") != std::string::npos)
      continue;
    if (const size_t place = name.find("language_model."); place != std::string::npos) name.erase(place, 15);
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_EQ(found[name]->dtype, expected.dtype) << name;
    EXPECT_EQ(as_text(found[name]->data), as_text(expected.data)) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 114u);
  const Checkpoint folder_model = Checkpoint::open(folder / "m").value();
  const TensorView& projection = *folder_model.find(kProjection + "weight");
  EXPECT_EQ(projection.dtype, DType::kI8);
  expect_same(projection, *bundle.find(kProjection + "weight"), kProjection);
  EXPECT_EQ(decode_tensor(*folder_model.find(kProjection + "input_activation_scale")).front(), 0.03125f);
  EXPECT_EQ(decode_tensor(*folder_model.find(kProjection + "output_activation_scale")).front(), 0.0476f);
}

TEST(Litertlm, AGgufFileIsReachedThroughAFolder) {
  const TemporaryFolder folder;
  const Checkpoint bundle = Checkpoint::open(kBundle).value();
  const auto go_on = [](uint64_t, uint64_t) { return true; };
  const auto refused = convert_checkpoint(bundle, folder / "m.gguf", {}, go_on);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("convert the bundle to a folder"), std::string::npos);
}

TEST(Litertlm, RefusesOtherVersionsAndOtherFiles) {
  EditedBundle bundle;
  bundle.put<uint32_t>(8, 2);
  expect_refused(bundle, "LiteRT-LM version 2.7.0, expected 1.x");
  bundle.put<uint32_t>(8, 1);
  bundle.put<uint32_t>(12, 99);
  EXPECT_TRUE(bundle.open().ok());
  bundle.bytes.replace(0, 4, "GGUF");
  expect_refused(bundle, "which begins with \"LITERTLM\"; found \"GGUFRTLM\"");
}

TEST(Litertlm, RefusesAHeaderBeyondTheFile) {
  EditedBundle bundle;
  for (const uint64_t end : {uint64_t{0}, uint64_t{31}, uint64_t{1} << 21, UINT64_MAX}) {
    bundle.put<uint64_t>(24, end);
    expect_refused(bundle, "a header that ends at byte " + std::to_string(end));
  }
  bundle.put<uint64_t>(24, uint64_t{1} << 19);
  expect_refused(bundle, "ends in its header");
}

TEST(Litertlm, RefusesAFileThatIsCutAnywhere) {
  EditedBundle bundle;
  const std::string whole = bundle.bytes;
  for (size_t size = 0; size < whole.size(); size += 1499) {
    bundle.bytes = whole.substr(0, size);
    EXPECT_NE(bundle.refusal(), "was opened") << size;
  }
}

TEST(Litertlm, RefusesZeroPoints) {
  EditedBundle bundle;
  bundle.at(bundle.tensor("layer_1/layer_1.pre_qkv/attn.pre_qkv/attn._pre_attention_fn/k_einsum/dot")
                .zero_points.bytes())[8] = 3;
  expect_refused(bundle, "a zero point of 3, expected 0");
}

TEST(Litertlm, RefusesScalesThatAreNotAboveZero) {
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    EditedBundle rows;
    std::memcpy(rows.at(rows.tensor("layer_2/layer_2.post_qkv/mlp/linear/dot").scales.bytes()) + 4, &bad, sizeof bad);
    expect_refused(rows, "the scale of row 1");
    EditedBundle one;
    std::memcpy(one.at(one.tensor("layer_2/layer_2.post_qkv/mlp/linear/in").scales.bytes()), &bad, sizeof bad);
    expect_refused(one, "model.layers.2.mlp.down_proj.input_activation_scale: expected a scale above zero");
  }
}

TEST(Litertlm, RefusesAHeadThatIsNotTheEmbedding) {
  EditedBundle bundle;
  bundle.at(bundle.tensor("decode_softmax").data)[100] ^= 1;
  expect_refused(bundle, "the head is not the embedding, byte for byte");
}

TEST(Litertlm, RefusesNamesThatAreNotKnown) {
  EditedBundle bundle;
  bundle.replace("gating_einsum2", "gating_einsum9");
  expect_refused(bundle, "gating_einsum9/dot_general: no layer of Gemma 4 is known by this name");
  EditedBundle model;
  model.replace("tf_lite_per_layer_embedder", "tf_lite_per_layer_embeddex");
  expect_refused(model, "tf_lite_per_layer_embedder: the bundle has no such model");
  EditedBundle norm;
  norm.replace("pre_ffw_norm", "pre_fff_norm");
  expect_refused(norm, "model.layers.0.pre_feedforward_layernorm.weight: is missing");
}

TEST(Litertlm, RefusesAWeightOfTwoLayers) {
  EditedBundle bundle;
  std::optional<int32_t> first;
  for (const TfliteOperator& op : bundle.decoder().operators) {
    if (op.op != TfliteOp::kFullyConnected) continue;
    if (first) std::memcpy(bundle.at(op.inputs.bytes()) + sizeof(int32_t), &*first, sizeof *first);
    first = op.inputs[1];
  }
  expect_refused(bundle, "is the weight of two layers");
}

TEST(Litertlm, ScalesThatCannotBeThoseOfValuesAreLeftOut) {
  EditedBundle bundle;
  const std::string values = "model.layers.1.self_attn.v_cache_scale";
  ASSERT_NE(bundle.open().value().find(values), nullptr);
  const float small = 0.99f / 127.0f;
  std::memcpy(bundle.at(bundle.tensor("decode_v1").scales.bytes()), &small, sizeof small);
  const Checkpoint opened = bundle.open().value();
  EXPECT_EQ(opened.find(values), nullptr);
  EXPECT_EQ(opened.find("model.layers.1.self_attn.k_cache_scale"), nullptr);
  EXPECT_NE(opened.find("model.layers.0.self_attn.v_cache_scale"), nullptr);
}

TEST(Litertlm, AnyBytesAreReadOrRefused) {
  std::mt19937 random(5);
  const EditedBundle original;
  const LitertlmContent sections = original.content();
  for (int round = 0; round < 1000; ++round) {
    EditedBundle bundle;
    for (int change = 0; change < 3; ++change) {
      // Headers and graphs are at the ends of what they lie in, weights in between.
      const LitertlmSection& section = sections.sections[random() % sections.sections.size()];
      const size_t place = random() % 4 == 0 ? random() % 2048 : section.begin + random() % section.data.size();
      bundle.bytes[place] = static_cast<char>(random());
    }
    (void)bundle.open().ok();
  }
}

}  // namespace
}  // namespace carat
