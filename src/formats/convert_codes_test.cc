#include "formats/convert_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "base/file_map.h"
#include "formats/convert.h"
#include "formats/names.h"
#include "lattice/codes.h"
#include "lattice/search.h"
#include "tests/support/coded_model.h"
#include "tests/support/converted.h"
#include "tests/support/edited_checkpoint.h"

// Integer codes through every container, with zero tolerance.

namespace carat {
namespace {

/// All files of a folder, or the one at this path, by name.
std::map<std::string, std::string> contents(const std::filesystem::path& path) {
  std::map<std::string, std::string> files;
  if (!std::filesystem::is_directory(path)) return {{"", read_text_file(path, size_t{1} << 28).value()}};
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    files[entry.path().filename()] = read_text_file(entry.path(), size_t{1} << 28).value();
  }
  return files;
}

void expect_same_files(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto expected = contents(a), found = contents(b);
  EXPECT_EQ(expected.size(), found.size());
  for (const auto& [name, content] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(found.at(name) == content) << name << " differs";
  }
}

constexpr Container kFolders[] = {Container::kSafetensors, Container::kCompressedTensors};

class ConvertCodes : public testing::Test {
 protected:
  void SetUp() override {
    const auto written = model_.write(folder_ / "model", Container::kSafetensors);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }

  Checkpoint open(std::string_view name) const { return Checkpoint::open(folder_ / name).value(); }

  TemporaryFolder folder_;
  CodedModel model_{{}, coded_scheme({}), 3};
};

TEST_F(ConvertCodes, ThroughGgufWithScalesAndBackAreTheSameFiles) {
  for (const Container container : kFolders) {
    const std::string name(container_name(container));
    ASSERT_TRUE(model_.write(folder_ / name, container).ok());
    const Conversion there = convert(folder_ / name, folder_ / "a.gguf", {.static_scales = true}).value();
    const Conversion back = convert(folder_ / "a.gguf", folder_ / (name + "-2"), {.container = container}).value();
    EXPECT_GT(there.rounded_scales, 0u);
    EXPECT_EQ(back.moved_weights, 0u);
    EXPECT_EQ(back.left_out_scales, 0);
    expect_same_files(folder_ / name, folder_ / (name + "-2"));
  }
}

TEST_F(ConvertCodes, RowsOfWholeSuperBlocksTakeThem) {
  const CodedModel wide({.hidden = 256}, coded_scheme({}), 4);
  ASSERT_TRUE(wide.write(folder_ / "wide", Container::kSafetensors).ok());
  ASSERT_TRUE(convert(folder_ / "wide", folder_ / "a.gguf", {.static_scales = true}).ok());
  EXPECT_EQ(open("a.gguf").find("model.embed_tokens.weight")->dtype, DType::kTQ2_0);
  ASSERT_TRUE(convert(folder_ / "a.gguf", folder_ / "back").ok());
  expect_same_files(folder_ / "wide", folder_ / "back");
}

TEST_F(ConvertCodes, RefusesABlockThatAnotherProgramChanged) {
  ASSERT_TRUE(convert(folder_ / "model", folder_ / "a.gguf", {.static_scales = true}).ok());
  const auto place = [&] {
    const Checkpoint file = open("a.gguf");
    return *file.place_of(file.find("model.layers.0.mlp.down_proj.weight")->row(7));
  }();
  std::string bytes = contents(folder_ / "a.gguf").at("");
  const Checkpoint file = open("a.gguf");
  const TensorView& blocks = *file.find("model.layers.0.mlp.down_proj.weight");
  ASSERT_EQ(blocks.dtype, DType::kQ4_0);
  for (size_t block = 0; block < blocks.row(7).size(); block += 18) bytes[place.offset + block] ^= 0x10;
  std::ofstream(folder_ / "edited.gguf", std::ios::binary) << bytes;
  const auto conversion = convert(folder_ / "edited.gguf", folder_ / "back");
  ASSERT_FALSE(conversion.ok());
  EXPECT_EQ(conversion.error().kind, ErrorKind::kRefused);
  EXPECT_NE(conversion.error().message.find("blk.0.ffn_down.weight: row 7: its blocks have the scale"),
            std::string::npos)
      << conversion.error().message;
}

TEST_F(ConvertCodes, ModelsOfTransformersGoThroughEveryContainerAndStayTheSame) {
  for (const char* name : {"e2b_1", "e4b_1"}) {
    const std::filesystem::path golden = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/mobile" / name;
    ASSERT_TRUE(convert(golden, folder_ / "gemma").ok());
    ASSERT_TRUE(convert(folder_ / "gemma", folder_ / "a.gguf", {.static_scales = true}).ok());
    ASSERT_TRUE(convert(folder_ / "a.gguf", folder_ / "ct", {.container = Container::kCompressedTensors}).ok());
    ASSERT_TRUE(convert(folder_ / "ct", folder_ / "b.gguf", {.static_scales = true}).ok());
    ASSERT_TRUE(convert(folder_ / "b.gguf", folder_ / "back").ok());
    expect_same_files(folder_ / "a.gguf", folder_ / "b.gguf");
    expect_same_files(folder_ / "gemma", folder_ / "back");
    const Checkpoint before = Checkpoint::open(golden).value(), after = open("back");
    ASSERT_EQ(before.tensors().size(), after.tensors().size());
    for (const auto& [tensor, view] : before.tensors()) {
      EXPECT_TRUE(std::ranges::equal(view.data, after.find(tensor)->data)) << name << " " << tensor;
      EXPECT_TRUE(std::ranges::equal(view.scales.data, after.find(tensor)->scales.data)) << name << " " << tensor;
    }
  }
}

TEST_F(ConvertCodes, BetweenFoldersIsTheSameFile) {
  const ConvertOptions compressed = {.container = Container::kCompressedTensors};
  const Conversion there = convert(folder_ / "model", folder_ / "ct", compressed).value();
  const Conversion back = convert(folder_ / "ct", folder_ / "back").value();
  for (const Conversion& conversion : {there, back}) {
    EXPECT_EQ(conversion.moved_weights, 0u);
    EXPECT_EQ(conversion.rounded_scales, 0u);
    EXPECT_EQ(conversion.left_out_scales, 0);
  }
  expect_same_files(folder_ / "model", folder_ / "back");
  ASSERT_TRUE(convert(folder_ / "back", folder_ / "ct-2", compressed).ok());
  expect_same_files(folder_ / "ct", folder_ / "ct-2");
}

TEST_F(ConvertCodes, GgufToGgufIsTheSameFile) {
  for (const bool static_scales : {true, false}) {
    const ConvertOptions options = {.requantize = !static_scales, .static_scales = static_scales};
    ASSERT_TRUE(convert(folder_ / "model", folder_ / "a.gguf", options).ok());
    const Conversion again = convert(folder_ / "a.gguf", folder_ / "b.gguf", {.static_scales = static_scales}).value();
    EXPECT_EQ(again.moved_weights, 0u);
    EXPECT_EQ(again.rounded_scales, 0u);
    expect_same_files(folder_ / "a.gguf", folder_ / "b.gguf");
  }
  ASSERT_TRUE(convert(folder_ / "model", folder_ / "full.gguf", {.static_scales = true}).ok());
  const Conversion plain = convert(folder_ / "full.gguf", folder_ / "plain.gguf").value();
  EXPECT_GT(plain.left_out_scales, 0);
  expect_same_files(folder_ / "b.gguf", folder_ / "plain.gguf");
}

/// The codes of a row and the scale of its group: what the value would be with the scale rounded to binary16.
float rounded_value(const TensorView& codes, size_t index) {
  const auto columns = static_cast<size_t>(codes.columns());
  const size_t row = index / columns, length = columns / static_cast<size_t>(codes.scales.groups);
  std::vector<float> numbers(columns);
  decode(codes.dtype, codes.row(static_cast<int64_t>(row)), numbers);
  const auto group = static_cast<int64_t>(index % columns / length);
  return numbers[index % columns] * float_from_f16(f16_from_float(codes.scales.at(static_cast<int64_t>(row), group)));
}

TEST_F(ConvertCodes, BlocksHoldTheCodesTimesTheRoundedScale) {
  const Conversion conversion = convert(folder_ / "model", folder_ / "a.gguf", {.requantize = true}).value();
  const Checkpoint input = open("model"), output = open("a.gguf");
  uint64_t moved = 0, coded = 0;
  for (const auto& [name, view] : output.tensors()) {
    const TensorView& codes = *input.find(name);
    const std::vector<float> values = decode_tensor(view), before = decode_tensor(codes);
    for (size_t i = 0; i < values.size(); ++i) moved += values[i] != before[i];
    if (!is_code_type(codes.dtype)) continue;
    ++coded;
    for (size_t i = 0; i < values.size(); i += 7) ASSERT_EQ(values[i], rounded_value(codes, i)) << name << " " << i;
  }
  EXPECT_GT(coded, 20u);
  EXPECT_GT(moved, 0u);
  EXPECT_EQ(conversion.moved_weights, moved);
  EXPECT_GT(conversion.rounded_scales, 0u);
  EXPECT_GT(conversion.largest_scale_change, 0x1p-12);
  EXPECT_LE(conversion.largest_scale_change, 0x1p-11);
  EXPECT_EQ(output.find("model.embed_tokens.weight")->dtype, DType::kQ2_0);
  EXPECT_EQ(output.find("model.embed_tokens_per_layer.weight")->dtype, DType::kQ4_0);
  EXPECT_EQ(output.find("model.layers.0.per_layer_input_gate.weight")->dtype, DType::kQ8_0);
}

TEST_F(ConvertCodes, APlainGgufHasNothingBesideItsBlocks) {
  const Conversion conversion = convert(folder_ / "model", folder_ / "a.gguf", {.requantize = true}).value();
  EXPECT_EQ(conversion.static_scales, 0);
  EXPECT_GT(conversion.left_out_scales, 0);
  const Checkpoint input = open("model"), output = open("a.gguf");
  EXPECT_EQ(conversion.left_out_scales, static_cast<int64_t>(input.tensors().size() - output.tensors().size()));
  for (const NamedTensor& tensor : output.tensors()) {
    EXPECT_FALSE(is_static_scale(tensor.name) || is_exact_scale(tensor.name)) << tensor.name;
  }
  EXPECT_EQ(contents(folder_ / "a.gguf").at("").find("carat.static_scales"), std::string::npos);
}

TEST_F(ConvertCodes, AFolderOfAPlainGgufHasTheSameCodesAndTheScalesOfTheBlocks) {
  ASSERT_TRUE(convert(folder_ / "model", folder_ / "a.gguf", {.requantize = true}).ok());
  const Conversion back = convert(folder_ / "a.gguf", folder_ / "back").value();
  EXPECT_EQ(back.moved_weights, 0u);
  const Checkpoint input = open("model"), output = open("back");
  for (const auto& [name, view] : output.tensors()) {
    const TensorView& before = *input.find(name);
    ASSERT_EQ(view.dtype, before.dtype) << name;
    EXPECT_TRUE(std::ranges::equal(view.data, before.data)) << name;
    ASSERT_EQ(view.scales.groups, before.scales.groups) << name;
    for (int64_t row = 0; row < view.rows() && view.scales.groups > 0; ++row) {
      const float scale = before.scales.at(row, view.scales.groups - 1);
      ASSERT_EQ(view.scales.at(row, view.scales.groups - 1), float_from_f16(f16_from_float(scale))) << name;
    }
  }
}

TEST_F(ConvertCodes, AGgufWithScalesHasTheStaticQuantizersOfTheModel) {
  const Conversion conversion = convert(folder_ / "model", folder_ / "a.gguf", {.static_scales = true}).value();
  const Checkpoint input = open("model"), output = open("a.gguf");
  int64_t found = 0;
  for (const auto& [name, view] : input.tensors()) {
    if (!is_static_scale(name)) continue;
    ++found;
    ASSERT_NE(output.find(name), nullptr) << name;
    EXPECT_EQ(decode_tensor(*output.find(name)), decode_tensor(view)) << name;
  }
  EXPECT_GT(found, 40);
  EXPECT_EQ(conversion.static_scales, found);
  EXPECT_EQ(conversion.left_out_scales, 0);
}

TEST_F(ConvertCodes, ScalesThatBlocksRoundTakeAFlag) {
  const auto refused = convert(folder_ / "model", folder_ / "a.gguf");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kRefused);
  for (const char* part :
       {"of 6434 scales are no binary16 numbers", "by up to 0.0", "--static-scales", "--requantize"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << part << " in " << refused.error().message;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.gguf"));
}

TEST_F(ConvertCodes, RefusesScalesThatBlocksCannotHold) {
  for (const float broken : {1e-9f, 1e5f}) {
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) -> Status {
      if (spec.name != "model.layers.1.mlp.up_proj.weight_scale") return model_.producer()(spec, sink);
      std::vector<float> scales(static_cast<size_t>(*element_count(spec.shape)), 0.5f);
      scales[5] = broken;
      return sink(std::as_bytes(std::span(scales)));
    };
    ASSERT_TRUE(write_checkpoint(folder_ / "odd", Container::kSafetensors, model_.config, model_.vocabulary,
                                 model_.tensors, produce)
                    .ok());
    const auto conversion = convert(folder_ / "odd", folder_ / "out.gguf", {.requantize = true});
    ASSERT_FALSE(conversion.ok());
    EXPECT_EQ(conversion.error().kind, ErrorKind::kRefused);
    EXPECT_NE(conversion.error().message.find("model.layers.1.mlp.up_proj.weight: row 5 has the scale"),
              std::string::npos)
        << conversion.error().message;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.gguf"));
  }
}

TEST_F(ConvertCodes, FromCodesToFloatsAreTheirValues) {
  const Conversion conversion =
      convert(folder_ / "model", folder_ / "float", {.scheme = built_in_scheme("f32")}).value();
  EXPECT_EQ(conversion.moved_weights, 0u);
  EXPECT_GT(conversion.left_out_scales, 0);
  const Checkpoint input = open("model"), output = open("float");
  EXPECT_EQ(scheme_of(output), "f32");
  for (const auto& [name, view] : output.tensors()) {
    EXPECT_EQ(view.dtype, DType::kF32);
    EXPECT_EQ(decode_tensor(view), decode_tensor(*input.find(name))) << name;
  }
}

/// Static scales for everything that the scheme asks for.
std::map<std::string, float> some_scales(const ModelConfig& config, const Scheme& scheme) {
  std::map<std::string, float> scales;
  for (const TensorSpec& spec : static_scales(config, scheme)) {
    scales[spec.name] = 0.01f * static_cast<float>(scales.size() + 1);
  }
  return scales;
}

TEST_F(ConvertCodes, FloatsMoveToTheCodesOfAScheme) {
  const TinyModel floats({}, 5);
  const Scheme scheme = coded_scheme({});
  ASSERT_TRUE(floats.write(folder_ / "float", "f32").ok());
  const auto scales = some_scales(floats.config, scheme);
  const Conversion conversion =
      convert(folder_ / "float", folder_ / "coded", {.scheme = &scheme, .scales = scales}).value();
  EXPECT_EQ(conversion.scheme, "coded");
  EXPECT_EQ(conversion.static_scales, static_cast<int64_t>(scales.size()));
  const Checkpoint input = open("float"), output = open("coded");
  uint64_t moved = 0;
  for (const auto& [name, view] : input.tensors()) {
    const TensorView& coded = *output.find(name);
    const std::vector<float> values = decode_tensor(view), after = decode_tensor(coded);
    for (size_t i = 0; i < values.size(); ++i) moved += values[i] != after[i];
    const SchemeRule* rule = scheme.rule_for(name);
    ASSERT_EQ(coded.dtype, rule == nullptr ? DType::kF32 : rule->lattice) << name;
    if (!is_code_type(coded.dtype)) continue;
    const int64_t length = view.columns() / coded.scales.groups;
    ASSERT_EQ(length, rule->group == 0 ? view.columns() : rule->group);
    const auto row = std::span(values).subspan(static_cast<size_t>(3 * view.columns()), static_cast<size_t>(length));
    std::vector<std::byte> codes(*row_bytes(coded.dtype, static_cast<uint64_t>(length)));
    encode_codes(coded.dtype, row, coded.scales.at(3, 0), codes);
    EXPECT_EQ(coded.scales.at(3, 0), searched_scale(code_bits(coded.dtype), row)) << name;
    EXPECT_TRUE(std::ranges::equal(coded.row(3).first(codes.size()), codes)) << name;
  }
  EXPECT_EQ(conversion.moved_weights, moved);
  EXPECT_EQ(decode_tensor(*output.find("model.layers.0.self_attn.v_cache_scale")).front(),
            scales.at("model.layers.0.self_attn.v_cache_scale"));
}

TEST_F(ConvertCodes, ASchemeWithStaticQuantizersNeedsTheirScales) {
  const TinyModel floats({}, 5);
  const Scheme scheme = coded_scheme({});
  ASSERT_TRUE(floats.write(folder_ / "float", "f32").ok());
  const auto refused = convert(folder_ / "float", folder_ / "coded", {.scheme = &scheme});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("--calibration TEXT"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "coded"));
  // A file that has no place for them needs none.
  EXPECT_TRUE(convert(folder_ / "float", folder_ / "coded.gguf", {.scheme = &scheme}).ok());
}

TEST_F(ConvertCodes, OnlyGivenScalesOfTheSchemeCanBeLeftOut) {
  const TinyModel floats({}, 5);
  const Scheme scheme = coded_scheme({});
  ASSERT_TRUE(floats.write(folder_ / "float", "f32").ok());
  ConvertOptions options = {.scheme = &scheme, .scales = some_scales(floats.config, scheme)};
  const auto asked = static_cast<int64_t>(options.scales.size());
  options.scales["lm_head.input_activation_scale"] = 0.5f;
  EXPECT_EQ(convert(folder_ / "float", folder_ / "coded", options).value().left_out_scales, 0);
  EXPECT_EQ(convert(folder_ / "float", folder_ / "coded.gguf", options).value().left_out_scales, asked);
}

TEST_F(ConvertCodes, FloatsGoToGgufAsTheirCodesWould) {
  const TinyModel floats({}, 5);
  const Scheme scheme = coded_scheme({});
  ASSERT_TRUE(floats.write(folder_ / "float", "f32").ok());
  ConvertOptions options = {.scheme = &scheme, .static_scales = true, .scales = some_scales(floats.config, scheme)};
  const Conversion direct = convert(folder_ / "float", folder_ / "direct.gguf", options).value();
  options.threads = 3;
  ASSERT_TRUE(convert(folder_ / "float", folder_ / "coded", options).ok());
  ASSERT_TRUE(convert(folder_ / "coded", folder_ / "twice.gguf", {.static_scales = true}).ok());
  expect_same_files(folder_ / "direct.gguf", folder_ / "twice.gguf");
  const Checkpoint input = open("float"), output = open("direct.gguf");
  uint64_t moved = 0;
  for (const auto& [name, view] : input.tensors()) {
    const std::vector<float> values = decode_tensor(view), after = decode_tensor(*output.find(name));
    for (size_t i = 0; i < values.size(); ++i) moved += values[i] != after[i];
  }
  EXPECT_EQ(direct.moved_weights, moved);
}

TEST_F(ConvertCodes, CodesThatTheSchemeAsksForStay) {
  const Scheme scheme = coded_scheme({});
  for (const bool through_gguf : {false, true}) {
    if (through_gguf) {
      ASSERT_TRUE(convert(folder_ / "model", folder_ / "a.gguf", {.static_scales = true}).ok());
    }
    const Conversion again =
        convert(folder_ / (through_gguf ? "a.gguf" : "model"), folder_ / "again", {.scheme = &scheme}).value();
    EXPECT_EQ(again.moved_weights, 0u);
    EXPECT_EQ(contents(folder_ / "again").at("model.safetensors"), contents(folder_ / "model").at("model.safetensors"));
  }
}

TEST_F(ConvertCodes, GroupsOfARowStay) {
  const CodedModel grouped({}, grouped_scheme(), 7);
  ASSERT_TRUE(grouped.write(folder_ / "ct", Container::kCompressedTensors).ok());
  ASSERT_TRUE(convert(folder_ / "ct", folder_ / "a.gguf", {.static_scales = true}).ok());
  ASSERT_TRUE(convert(folder_ / "a.gguf", folder_ / "back", {.container = Container::kCompressedTensors}).ok());
  expect_same_files(folder_ / "ct", folder_ / "back");
  EXPECT_EQ(open("back").find("model.layers.0.mlp.up_proj.weight")->scales.groups, 2);
}

}  // namespace
}  // namespace carat
