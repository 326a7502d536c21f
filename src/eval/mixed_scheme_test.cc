#include "eval/mixed_scheme.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "formats/scheme_json.h"

namespace carat {
namespace {

constexpr DType kLattices[] = {DType::kQ4_0, DType::kQ8_0, DType::kBF16, DType::kF32};

std::string up_proj(size_t layer) { return "model.layers." + std::to_string(layer) + ".mlp.up_proj.weight"; }

std::vector<TensorOptions> random_tensors(std::mt19937& random, size_t count, uint64_t most_bytes) {
  std::vector<TensorOptions> tensors;
  for (size_t t = 0; t < count; ++t) {
    TensorOptions tensor = {up_proj(t), {}};
    const size_t options = 1 + random() % std::size(kLattices);
    for (size_t i = 0; i < options; ++i) {
      // Now and then a negative one: noise.
      const double kld = static_cast<double>(random() % 1000) / 1e4 - 0.002;
      tensor.options.push_back({kLattices[i], 0, 1 + random() % most_bytes, kld});
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

double cost(const LatticeOption& option) { return std::max(option.kld, 0.0); }

/// The least sum of divergences for every number of bytes, by trying all that matters.
std::vector<double> least_sums(const std::vector<TensorOptions>& tensors, uint64_t budget) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> least(budget + 1, 0.0);
  for (const TensorOptions& tensor : tensors) {
    std::vector<double> next(budget + 1, kNever);
    for (const LatticeOption& option : tensor.options) {
      for (uint64_t bytes = option.bytes; bytes <= budget; ++bytes) {
        next[bytes] = std::min(next[bytes], least[bytes - option.bytes] + cost(option));
      }
    }
    least = std::move(next);
  }
  return least;
}

const LatticeOption* chosen(const MixedScheme& mixed, const TensorOptions& tensor) {
  const SchemeRule* rule = mixed.scheme.rule_for(tensor.tensor);
  for (const LatticeOption& option : tensor.options) {
    if (option.lattice == rule->lattice && option.group == rule->group) return &option;
  }
  return nullptr;
}

/// The most that a single change of a single tensor can gain.
double largest_gain(const std::vector<TensorOptions>& tensors) {
  double gain = 0;
  for (const TensorOptions& tensor : tensors) {
    const auto [low, high] = std::ranges::minmax(tensor.options, {}, cost);
    gain = std::max(gain, cost(high) - cost(low));
  }
  return gain;
}

TEST(MixedScheme, KeepsWithinTheBudgetAndNearTheOptimum) {
  std::mt19937 random(1);
  constexpr uint64_t kFixed = 7;
  int optimal = 0, cases = 0;
  for (int i = 0; i < 400; ++i) {
    const auto tensors = random_tensors(random, 1 + random() % 6, 20);
    const uint64_t budget = 1 + random() % 100;
    const double least = least_sums(tensors, budget).back();
    const auto mixed = recommend_scheme(tensors, kFixed, budget + kFixed);
    ASSERT_EQ(mixed.ok(), std::isfinite(least));
    if (!mixed.ok()) continue;
    uint64_t bytes = kFixed;
    double kld = 0;
    for (const TensorOptions& tensor : tensors) {
      const LatticeOption* option = chosen(*mixed, tensor);
      ASSERT_NE(option, nullptr);
      bytes += option->bytes;
      kld += cost(*option);
    }
    EXPECT_EQ(mixed->bytes, bytes);
    EXPECT_LE(bytes, budget + kFixed);
    EXPECT_DOUBLE_EQ(mixed->predicted_kld, kld);
    EXPECT_GE(kld, least - 1e-12);
    EXPECT_LE(kld, least + largest_gain(tensors) + 1e-12);
    optimal += kld <= least + 1e-12 ? 1 : 0;
    ++cases;
  }
  EXPECT_GT(cases, 200);
  EXPECT_GT(optimal, cases * 8 / 10);
}

TEST(MixedScheme, OfManyTensorsIsWithinOnePercentOfTheOptimum) {
  std::mt19937 random(2);
  const auto tensors = random_tensors(random, 200, 30);
  for (const uint64_t budget : {2000u, 2400u, 2800u}) {
    const double least = least_sums(tensors, budget).back();
    EXPECT_LE(recommend_scheme(tensors, 0, budget)->predicted_kld, 1.01 * least) << budget;
  }
}

TEST(MixedScheme, HasAllThatGainsWhenTheBudgetIsLarge) {
  std::mt19937 random(3);
  const auto tensors = random_tensors(random, 30, 20);
  double least = 0;
  for (const TensorOptions& tensor : tensors) least += cost(std::ranges::min(tensor.options, {}, cost));
  EXPECT_DOUBLE_EQ(recommend_scheme(tensors, 0, 1u << 20)->predicted_kld, least);
}

TEST(MixedScheme, RefusesWhatIsTooSmallAndSaysTheLeast) {
  const std::vector<TensorOptions> tensors = {{up_proj(0), {{DType::kQ4_0, 0, 18, 0.1}, {DType::kBF16, 0, 64, 0}}},
                                              {up_proj(1), {{DType::kQ4_0, 0, 18, 0.1}}}};
  EXPECT_EQ(recommend_scheme(tensors, 4, 40)->bytes, 40u);
  const auto refused = recommend_scheme(tensors, 4, 39);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  EXPECT_NE(refused.error().message.find(" 40 bytes"), std::string::npos) << refused.error().message;
}

TEST(MixedScheme, SaysWhatLayersShareInOneRule) {
  std::vector<TensorOptions> tensors;
  for (size_t layer = 0; layer < 12; ++layer) {
    const bool sensitive = layer == 0 || layer == 11;
    tensors.push_back({up_proj(layer), {{DType::kQ4_0, 0, 18, sensitive ? 0.5 : 0.0}, {DType::kQ8_0, 0, 34, 0}}});
    tensors.push_back(
        {"model.layers." + std::to_string(layer) + ".per_layer_projection.weight", {{DType::kI4, 32, 20, 0.0}}});
  }
  tensors.push_back({"model.embed_tokens.weight", {{DType::kBF16, 0, 100, 0.0}}});
  const Scheme scheme = recommend_scheme(tensors, 0, 1000)->scheme;
  const char* const expected[] = {
      "model.layers.0.mlp.up_proj.weight Q8_0", "model.layers.11.mlp.up_proj.weight Q8_0",
      "model.layers.*.mlp.up_proj.weight Q4_0", "model.layers.*.per_layer_projection.weight I4",
      "model.embed_tokens.weight BF16",         "* F32"};
  ASSERT_EQ(scheme.rules.size(), std::size(expected));
  for (size_t i = 0; i < scheme.rules.size(); ++i) {
    EXPECT_EQ(scheme.rules[i].pattern + " " + std::string(dtype_name(scheme.rules[i].lattice)), expected[i]);
  }
}

TEST(MixedScheme, SurvivesItsFile) {
  std::mt19937 random(4);
  for (int i = 0; i < 20; ++i) {
    auto tensors = random_tensors(random, 40, 20);
    for (TensorOptions& tensor : tensors) tensor.options.push_back({DType::kI4, 32, 2, 0.05});
    const Scheme scheme = recommend_scheme(tensors, 0, 400)->scheme;
    const auto read = scheme_from_json(scheme_to_json(scheme), "mixed.json");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->name, scheme.name);
    for (const TensorOptions& tensor : tensors) {
      const SchemeRule* rule = read->rule_for(tensor.tensor);
      ASSERT_NE(rule, nullptr);
      EXPECT_EQ(rule->lattice, scheme.rule_for(tensor.tensor)->lattice);
      EXPECT_EQ(rule->group, scheme.rule_for(tensor.tensor)->group);
    }
    EXPECT_EQ(read->lattice_of("model.norm.weight"), DType::kF32);
  }
}

}  // namespace
}  // namespace carat
