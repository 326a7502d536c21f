#include "formats/compressed_tensors_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace carat {
namespace {

using nlohmann::ordered_json;

ordered_json weights_json(int bits) {
  return {{"num_bits", bits}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}, {"dynamic", false}};
}

ordered_json range_json() {
  return {{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "tensor"}, {"dynamic", false}};
}

ordered_json config_of(const ordered_json& groups) {
  return {{"quant_method", "compressed-tensors"},
          {"format", "mixed-precision"},
          {"quantization_status", "compressed"},
          {"config_groups", groups}};
}

ordered_json group_json(const ordered_json& targets, int bits = 4) {
  return {{"targets", targets}, {"weights", weights_json(bits)}};
}

CompressedRules rules_of(const ordered_json& config) {
  auto rules = CompressedRules::read(config, "config");
  CARAT_CHECK(rules.ok(), rules.error().message.c_str());
  return *std::move(rules);
}

std::string group_of(const CompressedRules& rules, const std::string& module,
                     ModuleClass module_class = ModuleClass::kLinear) {
  const CompressedGroup* group = rules.group_of(module, module_class);
  return group == nullptr ? "none" : group->name;
}

void expect_refused(const ordered_json& config, const std::string& part) {
  const auto rules = CompressedRules::read(config, "config");
  ASSERT_FALSE(rules.ok()) << config.dump();
  EXPECT_NE(rules.error().message.find(part), std::string::npos) << rules.error().message;
}

/// The value at `pointer` of a group of 4-bit weights and 8-bit activations set to `value`.
ordered_json with(const std::string& pointer, const ordered_json& value) {
  ordered_json config = config_of({{"g", group_json({"Linear"})}});
  config["config_groups"]["g"]["input_activations"] = range_json();
  config["config_groups"]["g"]["format"] = "pack-quantized";
  config[ordered_json::json_pointer(pointer)] = value;
  return config;
}

TEST(CompressedRules, ReadsTheFormsOfWeights) {
  ordered_json eight = group_json({"c"}, 8);
  eight["input_activations"] = range_json();
  eight["output_activations"] = range_json();
  ordered_json in_groups = group_json({"b"});
  in_groups["weights"]["strategy"] = "GROUP";
  in_groups["weights"]["group_size"] = 32;
  const CompressedRules rules = rules_of(config_of({{"two", group_json({"a"}, 2)}, {"four", in_groups}, {"x", eight}}));
  EXPECT_EQ(rules.groups()[0].codes, DType::kI2);
  EXPECT_EQ(rules.groups()[0].columns, 0);
  EXPECT_FALSE(rules.groups()[0].input_range || rules.groups()[0].output_range);
  EXPECT_EQ(rules.groups()[1].codes, DType::kI4);
  EXPECT_EQ(rules.groups()[1].columns, 32);
  EXPECT_EQ(rules.groups()[2].codes, DType::kI8);
  EXPECT_TRUE(rules.groups()[2].input_range && rules.groups()[2].output_range);
  EXPECT_FALSE(rules.quantizes_cache());
}

TEST(CompressedRules, InfersStrategyAndFormatAsThePackageDoes) {
  ordered_json config = config_of({{"g", group_json({"Linear"})}});
  config["config_groups"]["g"]["weights"] = {{"num_bits", 4}, {"group_size", 64}};
  EXPECT_EQ(rules_of(config).groups()[0].columns, 64);
  config["config_groups"]["g"]["weights"]["group_size"] = -1;
  EXPECT_EQ(rules_of(config).groups()[0].columns, 0);
  config["config_groups"]["g"]["weights"].erase("group_size");
  expect_refused(config, "weights.strategy: found \"tensor\", expected \"channel\" or \"group\"");
  config["config_groups"]["g"]["weights"] = weights_json(8);
  config["format"] = "int-quantized";
  EXPECT_EQ(rules_of(config).groups()[0].codes, DType::kI8);
  config["config_groups"]["g"]["format"] = "pack-quantized";
  expect_refused(config, "g.format: found \"pack-quantized\" for codes of 8 bits, expected \"int-quantized\"");
}

TEST(CompressedRules, NamesComeBeforePatternsAndPatternsBeforeClasses) {
  const CompressedRules rules = rules_of(config_of({{"class", group_json({"Linear"})},
                                                    {"late", group_json({"re:.*proj$"})},
                                                    {"early", group_json({"re:.*k_proj"})},
                                                    {"name", group_json({"m.k_proj"})}}));
  EXPECT_EQ(group_of(rules, "m.k_proj"), "name");
  EXPECT_EQ(group_of(rules, "n.k_proj"), "early") << "\"re:.*k_proj\" stands before \"re:.*proj$\" in the alphabet";
  EXPECT_EQ(group_of(rules, "m.q_proj"), "late");
  EXPECT_EQ(group_of(rules, "m.gate"), "class");
  EXPECT_EQ(group_of(rules, "m.embed_tokens", ModuleClass::kEmbedding), "none");
}

TEST(CompressedRules, PatternsMatchFromTheFirstCharacterOn) {
  const CompressedRules rules = rules_of(config_of({{"g", group_json({"re:layers\\.(1|2)\\.", "re:.*head$"})}}));
  EXPECT_EQ(group_of(rules, "layers.1.q_proj"), "g");
  EXPECT_EQ(group_of(rules, "model.layers.1.q_proj"), "none");
  EXPECT_EQ(group_of(rules, "layers.11.q_proj"), "none");
  EXPECT_EQ(group_of(rules, "lm_head"), "g");
  EXPECT_EQ(group_of(rules, "lm_head.proj"), "none");
}

TEST(CompressedRules, ClassesAreThoseOfPyTorch) {
  const CompressedRules rules = rules_of(config_of({{"e", group_json({"Embedding"})}, {"m", group_json({"Module"})}}));
  EXPECT_EQ(group_of(rules, "m.embed_tokens", ModuleClass::kEmbedding), "e") << "Embedding stands before Module";
  EXPECT_EQ(group_of(rules, "m.q_proj"), "m");
}

TEST(CompressedRules, OfTwoGroupsWithOneTargetTheLastCounts) {
  const CompressedRules rules =
      rules_of(config_of({{"a", group_json({"m", "re:n"})}, {"b", group_json({"m", "re:n"}, 2)}}));
  EXPECT_EQ(group_of(rules, "m"), "b");
  EXPECT_EQ(group_of(rules, "n"), "b");
}

TEST(CompressedRules, IgnoredModulesBelongToNoGroup) {
  ordered_json config = config_of({{"g", group_json({"Linear", "Embedding"})}});
  config["ignore"] = {"lm_head", "re:.*vision", "Embedding"};
  const CompressedRules rules = rules_of(config);
  EXPECT_EQ(group_of(rules, "lm_head"), "none");
  EXPECT_EQ(group_of(rules, "model.vision.proj"), "none");
  EXPECT_EQ(group_of(rules, "m.embed_tokens", ModuleClass::kEmbedding), "none");
  EXPECT_EQ(group_of(rules, "model.proj"), "g");
}

TEST(CompressedRules, TakesWhatChangesNothing) {
  for (const auto& [pointer, value] : std::initializer_list<std::pair<const char*, ordered_json>>{
           {"/version", "0.20.0"},
           {"/global_compression_ratio", 1.5},
           {"/sparsity_config", ordered_json::object()},
           {"/sparsity_config", {{"format", "dense"}}},
           {"/transform_config", {{"config_groups", ordered_json::object()}}},
           {"/kv_cache_scheme", nullptr},
           {"/config_groups/g/output_activations", nullptr},
           {"/config_groups/g/weights/actorder", "weight"},
           {"/config_groups/g/weights/actorder", "static"},
           {"/config_groups/g/weights/actorder", false},
           {"/config_groups/g/weights/scale_dtype", "torch.bfloat16"},
           {"/config_groups/g/weights/observer", "minmax"},
           {"/config_groups/g/weights/observer_kwargs", {{"averaging_constant", 0.5}}}}) {
    const auto rules = CompressedRules::read(with(pointer, value), "config");
    EXPECT_TRUE(rules.ok()) << pointer << ": " << rules.error().message;
  }
  EXPECT_TRUE(rules_of(with("/kv_cache_scheme", range_json())).quantizes_cache());
}

TEST(CompressedRules, RefusesByNameWhatIsNotSupported) {
  const std::string weights = "/config_groups/g/weights/", input = "/config_groups/g/input_activations/";
  const struct {
    std::string pointer;
    ordered_json value;
    std::string message;
  } cases[] = {
      {weights + "num_bits", 3, "g.weights.num_bits: found 3, expected 2, 4 or 8"},
      {weights + "num_bits", "4", "num_bits: found \"4\", expected an integer"},
      {weights + "num_bits", uint64_t{1} << 63, "expected an integer"},
      {weights + "type", "float", "weights.type: found \"float\", expected \"int\""},
      {weights + "type", 4, "weights.type: found 4, expected a string"},
      {weights + "symmetric", false, "weights.symmetric: found false, expected true"},
      {weights + "strategy", "tensor", "weights.strategy: found \"tensor\", expected \"channel\" or \"group\""},
      {weights + "strategy", "block", "found \"block\""},
      {weights + "strategy", "group", "weights.group_size: found -1, expected at least 1"},
      {weights + "group_size", 32, "weights.group_size: found 32, expected null or -1"},
      {weights + "dynamic", true, "weights.dynamic: found true, expected false"},
      {weights + "actorder", "group", "weights.actorder: found \"group\", expected null or \"weight\""},
      {weights + "actorder", true, "weights.actorder: found true"},
      {weights + "block_structure", {128, 128}, "weights.block_structure: found array, expected nothing"},
      {weights + "bits", 4, "weights.bits: is no member that compressed-tensors knows"},
      {input + "num_bits", 4, "input_activations.num_bits: found 4, expected 8"},
      {input + "dynamic", true, "input_activations.dynamic: found true, expected false"},
      {input + "dynamic", "local", "input_activations.dynamic: found \"local\", expected false"},
      {input + "symmetric", false, "input_activations.symmetric: found false"},
      {input + "strategy", "token", "input_activations.strategy: found \"token\", expected \"tensor\""},
      {input + "type", "FLOAT", "input_activations.type: found \"FLOAT\""},
      {"/config_groups/g/output_activations", {{"num_bits", 4}}, "output_activations.num_bits: found 4"},
      {"/config_groups/g/weights", nullptr, "g.weights: found nothing, expected an object"},
      {"/config_groups/g/weights", 4, "g.weights: found 4, expected an object"},
      {"/config_groups/g/targets", nullptr, "g.targets: found nothing, expected a list of names"},
      {"/config_groups/g/targets", "Linear", "g.targets: found \"Linear\", expected a list of names"},
      {"/config_groups/g/targets", {1}, "g.targets: found 1 in the list, expected a name"},
      {"/config_groups/g/targets", {"re:("}, "g.targets: \"re:(\": missing ): "},
      {"/config_groups/g/targets", {"re:(?!vision).*"}, "without look-around and back-references"},
      {"/config_groups/g/targets", {"re:((a{1000}){1000}){1000}"}, "expected a regular expression"},
      {"/config_groups/g/format", "marlin-24", "g.format: found \"marlin-24\" for codes of 4 bits"},
      {"/config_groups/g/format", "int-quantized", "expected \"pack-quantized\""},
      {"/config_groups/g/sparse", true, "g.sparse: is no member that compressed-tensors knows"},
      {"/config_groups/g", {"Linear"}, "config_groups.g: found array, expected an object"},
      {"/config_groups", nullptr, "config_groups: found nothing, expected an object of groups"},
      {"/config_groups", {"g"}, "config_groups: found array"},
      {"/quantization_status", "frozen", "quantization_status: found \"frozen\", expected \"compressed\""},
      {"/quantization_status", nullptr, "quantization_status: found nothing"},
      {"/sparsity_config", {{"format", "sparse-24-bitmask"}}, "sparsity_config: found object, expected nothing"},
      {"/moe_sparsity_config", {{"method", "prune"}}, "moe_sparsity_config: found object"},
      {"/transform_config", {{"config_groups", {{"u", 1}}}}, "transform_config: found object, expected nothing"},
      {"/kv_cache_scheme", {{"num_bits", 8}, {"type", "float"}}, "kv_cache_scheme.type: found \"float\""},
      {"/kv_cache_scheme",
       {{"num_bits", 8}, {"strategy", "attn_head"}},
       "kv_cache_scheme.strategy: found \"attn_head\""},
      {"/ignore", "lm_head", "ignore: found \"lm_head\", expected a list of names"},
      {"/ignore", {"re:["}, "ignore: \"re:[\""},
      {"/format", 1, "format: found 1, expected a string"},
  };
  for (const auto& [pointer, value, message] : cases) expect_refused(with(pointer, value), message);
  expect_refused(ordered_json::array(), "config: found array, expected an object");
}

TEST(CompressedRules, RefusesMorePatternsThanAnyFileHas) {
  ordered_json targets = ordered_json::array();
  for (int i = 0; i < 1025; ++i) targets.push_back("re:" + std::to_string(i));
  expect_refused(config_of({{"g", group_json(targets)}}), "g.targets: has more patterns than 1024");
}

TEST(CompressedRules, ShowsHostileNamesInPrintableForm) {
  expect_refused(with("/config_groups/\x1b[2J", {{"targets", 1}}), "config_groups.\\x1b[2J");
}

}  // namespace
}  // namespace carat
