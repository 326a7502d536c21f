#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/file_map.h"
#include "formats/verify.h"
#include "tests/support/grouped_weights.h"

namespace carat {
namespace {

const std::string kUp = "model.layers.1.mlp.up_proj.weight";
const std::string kNorm = "model.layers.1.input_layernorm.weight";
// Of the shape [96, 64].
constexpr int64_t kRow = 5, kColumn = 40;
constexpr size_t kPlace = kRow * 64 + kColumn;

bool go_on(uint64_t, uint64_t) { return true; }

CheckpointComparison compare(const std::filesystem::path& a, const std::filesystem::path& b, int threads = 2) {
  const Checkpoint first = Checkpoint::open(a).value();
  const Checkpoint second = Checkpoint::open(b).value();
  return compare_checkpoints(first, second, threads, go_on).value();
}

const TensorComparison& tensor_of(const CheckpointComparison& comparison, const std::string& name) {
  for (const TensorComparison& tensor : comparison.tensors) {
    if (tensor.name == name) return tensor;
  }
  CARAT_CHECK(false, "a tensor of the comparison");
}

std::vector<std::string> different_tensors(const CheckpointComparison& comparison) {
  std::vector<std::string> names;
  for (const TensorComparison& tensor : comparison.tensors) {
    EXPECT_EQ(tensor.equal + tensor.equal_rounded + tensor.different, tensor.weights) << tensor.name;
    if (tensor.different != 0) names.push_back(tensor.name);
  }
  return names;
}

class VerifyCompare : public testing::Test {
 protected:
  TemporaryFolder folder_;
  GroupedWeights weights_;
};

TEST_F(VerifyCompare, TheSameWeightsInEveryPairOfForms) {
  for (const Form form : kForms) weights_.write(folder_ / std::to_string(static_cast<int>(form)), form);
  uint64_t count = 0;
  for (const TensorSpec& spec : expected_tensors(weights_.model.config)) {
    count += static_cast<uint64_t>(*element_count(spec.shape));
  }
  for (const Form a : kForms) {
    for (const Form b : kForms) {
      const CheckpointComparison comparison =
          compare(folder_ / std::to_string(static_cast<int>(a)), folder_ / std::to_string(static_cast<int>(b)));
      EXPECT_TRUE(comparison.same());
      uint64_t compared = 0;
      for (const TensorComparison& tensor : comparison.tensors) {
        EXPECT_EQ(tensor.different, 0u) << tensor.name;
        compared += tensor.equal + tensor.equal_rounded;
      }
      EXPECT_EQ(compared, count);
      const TensorComparison& up = tensor_of(comparison, kUp);
      const bool rounds = (a == Form::kBF16) != (b == Form::kBF16);
      EXPECT_EQ(up.rounded_to.has_value(), rounds);
      EXPECT_EQ(up.equal_rounded > 0, rounds);
    }
  }
}

TEST_F(VerifyCompare, TypesAreNamed) {
  weights_.write(folder_ / "codes", Form::kCompressedTensors);
  weights_.write(folder_ / "a.gguf", Form::kBlocks);
  const TensorComparison up = tensor_of(compare(folder_ / "codes", folder_ / "a.gguf"), kUp);
  EXPECT_EQ(up.type_a, "I4 group 32");
  EXPECT_EQ(up.type_b, "Q4_0");
}

TEST_F(VerifyCompare, OneNibbleIsFoundInEveryPairOfForms) {
  for (const Form form : kForms) weights_.write(folder_ / std::to_string(static_cast<int>(form)), form);
  int8_t& code = weights_.tensors[kUp].codes[kPlace];
  const int8_t before = code;
  code = before == 3 ? 4 : 3;
  const float scale = weights_.tensors[kUp].scales[kPlace / 32];
  for (const Form b : kForms) {
    const std::string changed = "changed" + std::to_string(static_cast<int>(b));
    weights_.write(folder_ / changed, b);
    for (const Form a : kForms) {
      const CheckpointComparison comparison = compare(folder_ / std::to_string(static_cast<int>(a)), folder_ / changed);
      EXPECT_FALSE(comparison.same());
      EXPECT_EQ(different_tensors(comparison), std::vector<std::string>{kUp});
      const TensorComparison& up = tensor_of(comparison, kUp);
      EXPECT_EQ(up.different, 1u);
      EXPECT_EQ(up.different_blocks, 1u);
      EXPECT_EQ(up.blocks, 96u * 64 / 32);
      ASSERT_EQ(up.first.size(), 1u);
      EXPECT_EQ(up.first[0].row, kRow);
      EXPECT_EQ(up.first[0].column, kColumn);
      const float stored = static_cast<float>(code) * scale;
      EXPECT_EQ(up.first[0].b, b == Form::kBF16 ? float_from_bf16(bf16_from_float(stored)) : stored);
      EXPECT_NEAR(up.largest_difference, std::fabs((code - before) * static_cast<double>(scale)), 0.05);
    }
  }
}

TEST_F(VerifyCompare, AScaleOfOneUnitInTheLastPlaceMovesItsBlock) {
  weights_.write(folder_ / "codes", Form::kCompressedTensors);
  GroupedWeights::Tensor& tensor = weights_.tensors[kUp];
  const size_t block = kPlace / 32;
  uint64_t not_zero = 0;
  for (size_t i = block * 32; i < block * 32 + 32; ++i) not_zero += tensor.codes[i] != 0;
  tensor.scales[block] = float_from_bf16(static_cast<uint16_t>(bf16_from_float(tensor.scales[block]) + 1));
  weights_.write(folder_ / "a.gguf", Form::kBlocks);
  const CheckpointComparison comparison = compare(folder_ / "codes", folder_ / "a.gguf");
  const TensorComparison& up = tensor_of(comparison, kUp);
  EXPECT_EQ(different_tensors(comparison), std::vector<std::string>{kUp});
  EXPECT_EQ(up.different, not_zero);
  EXPECT_EQ(up.different_blocks, 1u);
  EXPECT_EQ(up.first.size(), std::min<size_t>(5, not_zero));
  EXPECT_LT(up.largest_difference, 8 * 0x1p-7);
}

TEST_F(VerifyCompare, OneUnitOfBF16IsFoundAgainstEveryForm) {
  weights_.write(folder_ / "changed", Form::kBF16, [](const std::string& name, std::vector<float>& values) {
    if (name == kUp) values[kPlace] = float_from_bf16(static_cast<uint16_t>(bf16_from_float(values[kPlace]) ^ 1u));
  });
  for (const Form form : kForms) {
    weights_.write(folder_ / std::to_string(static_cast<int>(form)), form);
    const CheckpointComparison comparison =
        compare(folder_ / std::to_string(static_cast<int>(form)), folder_ / "changed");
    EXPECT_EQ(different_tensors(comparison), std::vector<std::string>{kUp});
    const TensorComparison& up = tensor_of(comparison, kUp);
    EXPECT_EQ(up.different, 1u);
    ASSERT_EQ(up.first.size(), 1u);
    EXPECT_EQ(up.first[0].row * 64 + up.first[0].column, static_cast<int64_t>(kPlace));
  }
}

TEST_F(VerifyCompare, SwappedRowsAndTheErrorsAreCounted) {
  weights_.write(folder_ / "a", Form::kF32);
  std::vector<float> before = weights_.decoded(kUp), after = before;
  std::swap_ranges(after.begin(), after.begin() + 64, after.begin() + 64);
  weights_.write(folder_ / "b", Form::kF32, [&](const std::string& name, std::vector<float>& values) {
    if (name == kUp) values = after;
  });
  uint64_t different = 0;
  double error = 0, squares = 0, largest = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const double d = static_cast<double>(before[i]) - static_cast<double>(after[i]);
    different += d != 0;
    error += d * d;
    squares += static_cast<double>(after[i]) * static_cast<double>(after[i]);
    largest = std::max(largest, std::fabs(d));
  }
  const CheckpointComparison comparison = compare(folder_ / "a", folder_ / "b");
  const TensorComparison& up = tensor_of(comparison, kUp);
  EXPECT_EQ(different_tensors(comparison), std::vector<std::string>{kUp});
  EXPECT_EQ(up.different, different);
  EXPECT_EQ(up.different_blocks, 4u);
  EXPECT_EQ(up.largest_difference, largest);
  EXPECT_NEAR(up.relative_rms, std::sqrt(error / squares), 1e-12);
  ASSERT_EQ(up.first.size(), 5u);
  EXPECT_EQ(up.first[4].row, 0);
  for (const WeightDifference& place : up.first) {
    EXPECT_EQ(place.a, before[static_cast<size_t>(place.column)]);
    EXPECT_EQ(place.b, after[static_cast<size_t>(place.column)]);
  }
}

TEST_F(VerifyCompare, TheReportDoesNotDependOnThreads) {
  weights_.write(folder_ / "a", Form::kF32);
  weights_.write(folder_ / "b", Form::kBF16, [](const std::string&, std::vector<float>& values) {
    for (size_t i = 0; i < values.size(); i += 7) values[i] = values[i] * 1.25f + 0.01f;
  });
  const CheckpointComparison one = compare(folder_ / "a", folder_ / "b", 1);
  const CheckpointComparison four = compare(folder_ / "a", folder_ / "b", 4);
  ASSERT_EQ(one.tensors.size(), four.tensors.size());
  EXPECT_FALSE(one.same());
  for (size_t t = 0; t < one.tensors.size(); ++t) {
    const TensorComparison &a = one.tensors[t], &b = four.tensors[t];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.different, b.different);
    EXPECT_EQ(a.equal_rounded, b.equal_rounded);
    EXPECT_EQ(a.different_blocks, b.different_blocks);
    EXPECT_EQ(a.largest_difference, b.largest_difference);
    EXPECT_EQ(a.relative_rms, b.relative_rms);
    ASSERT_EQ(a.first.size(), b.first.size());
    for (size_t i = 0; i < a.first.size(); ++i) EXPECT_EQ(a.first[i].column, b.first[i].column);
  }
}

TEST_F(VerifyCompare, NotANumberIsTheSameAsAnotherAndIsCounted) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto broken = [&](float value) {
    return [value](const std::string& name, std::vector<float>& values) {
      if (name == kUp) values[kPlace] = value;
    };
  };
  weights_.write(folder_ / "nan", Form::kF32, broken(kNaN));
  weights_.write(folder_ / "nan_bf16", Form::kBF16, broken(kNaN));
  weights_.write(folder_ / "infinite", Form::kF32, broken(kInfinity));
  weights_.write(folder_ / "infinite_bf16", Form::kBF16, broken(kInfinity));
  weights_.write(folder_ / "largest_bf16", Form::kBF16, broken(0x1.fep127f));
  weights_.write(folder_ / "whole", Form::kF32);
  const auto up_of = [&](const char* a, const char* b) { return tensor_of(compare(folder_ / a, folder_ / b), kUp); };
  for (const char* other : {"nan", "nan_bf16"}) {
    EXPECT_EQ(up_of("nan", other).different, 0u);
    EXPECT_EQ(up_of("nan", other).not_finite, 1u);
  }
  EXPECT_EQ(up_of("infinite", "infinite_bf16").different, 0u);
  EXPECT_EQ(up_of("infinite", "largest_bf16").different, 1u);
  for (const char* other : {"nan", "infinite"}) {
    const TensorComparison up = up_of("whole", other);
    EXPECT_EQ(up.different, 1u);
    EXPECT_EQ(up.largest_difference, kInfinity);
    EXPECT_EQ(up.relative_rms, 0.0);
  }
}

TEST_F(VerifyCompare, TheSignOfAZeroDoesNotCount) {
  weights_.write(folder_ / "a", Form::kF32, [](const std::string& name, std::vector<float>& values) {
    if (name == kUp) values[0] = 0.0f;
  });
  weights_.write(folder_ / "b", Form::kF32, [](const std::string& name, std::vector<float>& values) {
    if (name == kUp) values[0] = -0.0f;
  });
  EXPECT_TRUE(compare(folder_ / "a", folder_ / "b").same());
}

TEST_F(VerifyCompare, AMissingLayerScalarCountsAsOne) {
  weights_.write(folder_ / "a", Form::kF32, [](const std::string& name, std::vector<float>& values) {
    if (name.ends_with("layer_scalar")) values[0] = 1.0f;
  });
  std::erase_if(weights_.model.tensors, [](const TensorSpec& spec) { return spec.name.ends_with("0.layer_scalar"); });
  weights_.write(folder_ / "one", Form::kF32, [](const std::string& name, std::vector<float>& values) {
    if (name.ends_with("layer_scalar")) values[0] = 1.0f;
  });
  const CheckpointComparison same = compare(folder_ / "a", folder_ / "one");
  EXPECT_TRUE(same.same());
  EXPECT_EQ(tensor_of(same, "model.layers.0.layer_scalar").type_b, "absent, 1");
  GroupedWeights whole;
  whole.write(folder_ / "other", Form::kF32);
  const CheckpointComparison other = compare(folder_ / "one", folder_ / "other");
  EXPECT_EQ(tensor_of(other, "model.layers.0.layer_scalar").different, 1u);
}

TEST_F(VerifyCompare, TensorsOfOneAloneAndOfOtherShapesAreNamed) {
  weights_.write(folder_ / "a", Form::kF32);
  const GroupedWeights longer({.pattern = "SSFSSFSSF"});
  longer.write(folder_ / "longer", Form::kF32);
  const CheckpointComparison comparison = compare(folder_ / "a", folder_ / "longer");
  EXPECT_FALSE(comparison.same());
  const TensorComparison& extra = tensor_of(comparison, "model.layers.8.mlp.up_proj.weight");
  EXPECT_EQ(extra.type_a, "");
  EXPECT_EQ(extra.problem, "missing in the first");
  EXPECT_EQ(extra.different, extra.weights);
  EXPECT_EQ(comparison.contradictions.front(), "layers: 6 and 9");
  const CheckpointComparison reversed = compare(folder_ / "longer", folder_ / "a");
  EXPECT_EQ(tensor_of(reversed, extra.name).problem, "missing in the second");
  EXPECT_EQ(tensor_of(reversed, extra.name).weights, extra.weights);

  const GroupedWeights wider({.ffn_width = 128});
  wider.write(folder_ / "wider", Form::kF32);
  const CheckpointComparison shapes = compare(folder_ / "a", folder_ / "wider");
  EXPECT_EQ(tensor_of(shapes, kUp).problem, "[96, 64] in the first, [128, 64] in the second");
  EXPECT_EQ(shapes.contradictions.front(), "layer 0: feed-forward width: 96 and 128");
}

TEST_F(VerifyCompare, OtherPiecesContradict) {
  weights_.write(folder_ / "a", Form::kF32);
  weights_.model.vocabulary.pieces.back() = "other";
  weights_.write(folder_ / "b", Form::kF32);
  const CheckpointComparison comparison = compare(folder_ / "a", folder_ / "b");
  EXPECT_FALSE(comparison.same());
  ASSERT_EQ(comparison.contradictions.size(), 1u);
  EXPECT_EQ(comparison.contradictions[0], "pieces: 1 of 270 differ, the first is id 269: \"\\x0a\" and \"other\"");
}

TEST_F(VerifyCompare, StaticScalesAreCompared) {
  const TinyShape shape;
  const CodedModel model(shape, coded_scheme(shape), 1);
  ASSERT_TRUE(model.write(folder_ / "a", Container::kSafetensors).ok());
  ASSERT_TRUE(model.write(folder_ / "codes", Container::kCompressedTensors).ok());
  const std::string changed = "model.layers.0.self_attn.k_cache_scale";
  const TensorProducer produce = model.producer();
  const auto other = [&](const TensorSpec& spec, const ByteSink& sink) {
    if (spec.name != changed) return produce(spec, sink);
    const float scale = 0.25f;
    return sink(std::as_bytes(std::span(&scale, 1)));
  };
  ASSERT_TRUE(
      write_checkpoint(folder_ / "b", Container::kSafetensors, model.config, model.vocabulary, model.tensors, other)
          .ok());
  const CheckpointComparison same = compare(folder_ / "a", folder_ / "codes");
  EXPECT_TRUE(same.same());
  EXPECT_GT(same.static_scales, 20u);
  const CheckpointComparison comparison = compare(folder_ / "a", folder_ / "b");
  EXPECT_FALSE(comparison.same());
  ASSERT_EQ(comparison.scales.size(), 1u);
  EXPECT_EQ(comparison.scales[0].name, changed);
  EXPECT_EQ(comparison.scales[0].b, 0.25f);
}

TEST_F(VerifyCompare, ExpertsApartOrTogetherAreTheSame) {
  const TinyModel model(
      {.pattern = "SF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .full_kv_heads = 1, .experts = 4}, 2);
  const auto write = [&](const char* name, bool apart, float change) {
    std::vector<TensorSpec> specs;
    for (const TensorSpec& spec : expected_tensors(model.config)) {
      if (!apart || !spec.name.ends_with("gate_up_proj")) {
        specs.push_back(spec);
        continue;
      }
      const std::string prefix = spec.name.substr(0, spec.name.rfind('.') + 1);
      const Shape half = {spec.shape[0], spec.shape[1] / 2, spec.shape[2]};
      specs.push_back({prefix + "gate_proj", DType::kF32, half});
      specs.push_back({prefix + "up_proj", DType::kF32, half});
    }
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
      const bool gate = spec.name.ends_with("gate_proj") && spec.name.find("experts") != std::string::npos;
      const bool up = spec.name.ends_with("up_proj") && spec.name.find("experts") != std::string::npos;
      if (!gate && !(up && !spec.name.ends_with("gate_up_proj"))) {
        std::vector<float> values = model.values(spec);
        if (change != 0 && spec.name == "model.layers.1.experts.gate_up_proj") values[(64 + 33) * 64 + 3] += change;
        return sink(std::as_bytes(std::span(values)));
      }
      TensorSpec merged = spec;
      merged.name = spec.name.substr(0, spec.name.rfind('.') + 1) + "gate_up_proj";
      merged.shape[1] *= 2;
      const std::vector<float> both = model.values(merged);
      std::vector<float> values;
      const auto half = static_cast<size_t>(spec.shape[1] * spec.shape[2]);
      for (size_t expert = 0; expert < 4; ++expert) {
        const auto begin = both.begin() + static_cast<std::ptrdiff_t>(expert * 2 * half + (gate ? 0 : half));
        values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(half));
      }
      return sink(std::as_bytes(std::span(values)));
    };
    ASSERT_TRUE(write_checkpoint(folder_ / name, model.config, model.vocabulary, specs, produce).ok());
  };
  write("apart.gguf", true, 0);
  write("together.gguf", false, 0);
  write("changed.gguf", false, 0.5f);
  EXPECT_TRUE(compare(folder_ / "apart.gguf", folder_ / "together.gguf").same());
  const CheckpointComparison changed = compare(folder_ / "apart.gguf", folder_ / "changed.gguf");
  const TensorComparison& tensor = tensor_of(changed, "model.layers.1.experts.gate_up_proj");
  EXPECT_EQ(tensor.different, 1u);
  ASSERT_EQ(tensor.first.size(), 1u);
  EXPECT_EQ(tensor.first[0].row, 64 + 33);
  EXPECT_EQ(tensor.first[0].column, 3);
}

TEST_F(VerifyCompare, ExactScalesBesideBlocksAreThoseOfTheWeights) {
  GroupedWeights::Tensor& tensor = weights_.tensors[kUp];
  for (float& scale : tensor.scales) scale = std::nextafter(scale, 1.0f);
  tensor.scales[10] = std::nextafter(tensor.scales[10], 1.0f);  // there once
  weights_.write(folder_ / "float", Form::kF32);
  weights_.write(folder_ / "plain.gguf", Form::kBlocks);
  weights_.model.tensors.push_back({kUp + "_scale", DType::kF32, {96, 2}});
  weights_.write(folder_ / "exact.gguf", Form::kBlocks);
  const CheckpointComparison same = compare(folder_ / "exact.gguf", folder_ / "float");
  EXPECT_TRUE(same.same());
  EXPECT_EQ(tensor_of(same, kUp).type_a, "Q4_0 with exact scales");
  EXPECT_EQ(different_tensors(compare(folder_ / "plain.gguf", folder_ / "float")), std::vector<std::string>{kUp});

  std::string content = read_text_file(folder_ / "exact.gguf", size_t{1} << 28).value();
  const std::string scale(reinterpret_cast<const char*>(&tensor.scales[10]), sizeof(float));
  const float twice = 2 * tensor.scales[10];
  const size_t place = content.rfind(scale);
  ASSERT_NE(place, std::string::npos);
  std::memcpy(content.data() + place, &twice, sizeof twice);
  std::ofstream(folder_ / "torn.gguf", std::ios::binary) << content;
  const Checkpoint torn = Checkpoint::open(folder_ / "torn.gguf").value();
  const auto refusal = compare_checkpoints(torn, torn, 2, go_on);
  ASSERT_FALSE(refusal.ok());
  EXPECT_EQ(refusal.error().kind, ErrorKind::kRefused);
  EXPECT_NE(refusal.error().message.find("blk.1.ffn_up.weight: row 5: the scale beside its blocks"), std::string::npos)
      << refusal.error().message;
}

TEST_F(VerifyCompare, ABundleHoldsTheWeightsOfItsFolder) {
  const std::filesystem::path golden = std::filesystem::path(CARAT_SOURCE_DIR) / "tests" / "golden";
  const CheckpointComparison comparison = compare(golden / "litertlm" / "e2b_1.litertlm", golden / "mobile" / "e2b_1");
  EXPECT_EQ(tensor_of(comparison, "model.embed_tokens_per_layer.weight").type_a, "S4 row");
  // Bundles alone have this one in codes.
  EXPECT_EQ(different_tensors(comparison), std::vector<std::string>{"model.per_layer_model_projection.weight"});
}

TEST_F(VerifyCompare, StopsWhenAsked) {
  weights_.write(folder_ / "a", Form::kF32);
  const Checkpoint a = Checkpoint::open(folder_ / "a").value();
  int calls = 0;
  const auto stopped = compare_checkpoints(a, a, 1, [&](uint64_t, uint64_t) { return ++calls < 3; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace carat
