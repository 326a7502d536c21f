#include "ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/select.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/static_range.h"
#include "ops/ops.h"
#include "tensor/float_formats.h"
#include "tests/support/random_blocks.h"
#include "tests/support/random_floats.h"

// Linear layers with codes for weights and static quantizers. In integers: equality. In floats: double.

namespace carat {
namespace {

using Floats = std::vector<float>;

std::vector<uint32_t> bits_of(const Floats& values) {
  std::vector<uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

/// Weights [N, M] of any stored type; of codes with scales [N, groups], of both signs where a row has several.
struct Weights {
  Weights(DType dtype, int64_t N, int64_t M, int64_t groups, DType scale_dtype, Random& random)
      : codes(random_blocks(dtype, N * M, random)), scales(static_cast<size_t>(N * groups) * 4) {
    view = {dtype, {N, M}, codes};
    if (groups == 0) return;
    Floats values(static_cast<size_t>(N * groups));
    for (float& value : values) value = 0.001f + 0.01f * random.uniform();
    for (size_t i = 0; groups > 1 && i < values.size(); i += 3) values[i] = -values[i];
    scales.resize(*row_bytes(scale_dtype, values.size()));
    encode(scale_dtype, values, scales);
    view.scales = {scale_dtype, groups, scales};
  }
  std::vector<std::byte> codes, scales;
  TensorView view;
};

Floats product(Ops& ops, const LinearWeights& layer, const Floats& x) {
  const int64_t M = layer.weight.columns(), T = static_cast<int64_t>(x.size()) / M;
  std::vector<int8_t> scratch(static_cast<size_t>(linear_scratch(T, M)));
  Floats y(static_cast<size_t>(T * layer.weight.rows()), -1.0f);
  ops.linear(layer, x.data(), T, scratch, y.data());
  return y;
}

/// The bits of every table with one, two and three threads, in one call and token by token, which must be the same;
/// yields one of each table.
std::vector<Floats> products_of_each_table(const LinearWeights& layer, const Floats& x) {
  std::vector<Floats> outputs;
  const int64_t M = layer.weight.columns();
  for (const Kernels* table : all_kernels()) {
    Ops one(*table, 1);
    outputs.push_back(product(one, layer, x));
    for (const int threads : {2, 3}) {
      Ops many(*table, threads);
      EXPECT_EQ(bits_of(product(many, layer, x)), bits_of(outputs.back())) << table->name << ", " << threads;
    }
    Floats apart;
    for (auto row = x.begin(); row != x.end(); row += M) {
      const Floats y = product(one, layer, Floats(row, row + M));
      apart.insert(apart.end(), y.begin(), y.end());
    }
    EXPECT_EQ(bits_of(apart), bits_of(outputs.back())) << table->name << " token by token";
  }
  return outputs;
}

Floats plain_integers(const LinearWeights& layer, const Floats& x) {
  const int64_t N = layer.weight.rows(), M = layer.weight.columns(), T = static_cast<int64_t>(x.size()) / M;
  std::vector<int8_t> codes(static_cast<size_t>(M));
  Floats y;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      unpack_codes(layer.weight.dtype, layer.weight.row(n), codes);
      int64_t sum = 0;
      for (int64_t m = 0; m < M; ++m) {
        const auto at = static_cast<size_t>(m);
        sum += int64_t{codes[at]} * static_code(x[static_cast<size_t>(t * M) + at], layer.input_scale);
      }
      const float factor = layer.input_scale * layer.weight.scales.at(n, 0);
      const float out = static_cast<float>(static_cast<int32_t>(sum)) * factor;
      y.push_back(layer.output_scale > 0.0f ? snap_static(out, layer.output_scale) : out);
    }
  }
  return y;
}

class IntegerLinear : public testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Types, IntegerLinear,
                         testing::Values(DType::kI8, DType::kI4, DType::kI2, DType::kS4, DType::kS2),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

TEST_P(IntegerLinear, EqualsPlainSumsInEveryTableAndSplit) {
  Random random(1);
  struct Case {
    int64_t N, M, T;
  };
  for (const auto [N, M, T] :
       {Case{1, 4, 1}, {700, 64, 1}, {97, 384, 3}, {530, 36, 5}, {21, 1536, 34}, {13, 4100, 9}}) {
    for (const bool snapped : {false, true}) {
      const Weights weights(GetParam(), N, M, 1, snapped ? DType::kF32 : DType::kBF16, random);
      const LinearWeights layer{weights.view, 0.02f, snapped ? 0.05f : 0.0f};
      ASSERT_TRUE(is_integer_linear(layer));
      const Floats x = normals(random, T * M), expected = plain_integers(layer, x);
      for (const Floats& y : products_of_each_table(layer, x)) {
        ASSERT_EQ(bits_of(y), bits_of(expected)) << N << " x " << M << ", " << T << " tokens";
      }
    }
  }
}

TEST_P(IntegerLinear, InfinitiesGoToTheEndsOfTheRange) {
  Random random(2);
  const Weights weights(GetParam(), 20, 200, 1, DType::kF32, random);
  const LinearWeights layer{weights.view, 0.02f, 0.0f};
  Floats x = normals(random, 3 * 200);
  x[7] = HUGE_VALF;
  x[411] = -HUGE_VALF;
  for (const Floats& y : products_of_each_table(layer, x)) ASSERT_EQ(bits_of(y), bits_of(plain_integers(layer, x)));
}

TEST(Linear, IsInIntegersOnlyWhereTheSumsFit) {
  std::vector<std::byte> scales(64, std::byte{0x3c});
  LinearWeights layer{{DType::kI4, {1, 1024}, {}, {DType::kF32, 1, scales}}, 0.1f, 0.0f};
  EXPECT_TRUE(is_integer_linear(layer));
  layer.input_scale = 0.0f;
  EXPECT_FALSE(is_integer_linear(layer));
  layer.input_scale = 0.1f;
  layer.weight.scales.groups = 2;
  EXPECT_FALSE(is_integer_linear(layer));
  layer.weight.scales.groups = 1;
  layer.weight.dtype = DType::kQ4_0;
  EXPECT_FALSE(is_integer_linear(layer));
  for (const DType dtype : {DType::kI8, DType::kI4, DType::kI2, DType::kS4, DType::kS2}) {
    // The largest product is the lowest weight times -128.
    const int64_t too_many = (int64_t{1} << 31) / (-code_range(code_bits(dtype)).lowest * 128);
    layer.weight.dtype = dtype;
    layer.weight.shape = {1, too_many - 4};
    EXPECT_TRUE(is_integer_linear(layer)) << dtype_name(dtype);
    layer.weight.shape = {1, too_many};
    EXPECT_FALSE(is_integer_linear(layer)) << dtype_name(dtype);
  }
}

TEST(Linear, TooLongForIntegersIsStillRight) {
  constexpr int64_t M = 131072;
  const std::vector<std::byte> codes(M, std::byte{0x80}), scale(4);
  std::vector<std::byte> one(4);
  encode(DType::kF32, Floats{1.0f}, one);
  const LinearWeights layer{{DType::kI8, {1, M}, codes, {DType::kF32, 1, one}}, 1.0f, 0.0f};
  for (const Floats& y : products_of_each_table(layer, Floats(M, -128.0f))) EXPECT_EQ(y, Floats{0x1p31f});
}

/// Of float products of snapped inputs, before the output's lattice: double.
struct Expected {
  std::vector<double> values, magnitudes;
};

Expected expected_in_double(const LinearWeights& layer, const Floats& x) {
  const int64_t N = layer.weight.rows(), M = layer.weight.columns(), T = static_cast<int64_t>(x.size()) / M;
  const Floats weights = decode_tensor(layer.weight);
  Expected expected;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      double sum = 0, magnitude = 0;
      for (int64_t m = 0; m < M; ++m) {
        const float value = x[static_cast<size_t>(t * M + m)];
        const float used = layer.input_scale > 0.0f ? snap_static(value, layer.input_scale) : value;
        const double term = static_cast<double>(weights[static_cast<size_t>(n * M + m)]) * used;
        sum += term;
        magnitude += std::fabs(term);
      }
      expected.values.push_back(sum);
      expected.magnitudes.push_back(magnitude);
    }
  }
  return expected;
}

/// Beside the sum, the rounding of decoded weights, of snapped inputs and of the scale that is applied to the sum.
double tolerance(int64_t columns) { return dot_tolerance(columns) + 4 * 0x1p-24; }

struct FloatCase {
  DType dtype;
  int64_t groups;
  DType scale_dtype;
  float input_scale;
};

class FloatLinear : public testing::TestWithParam<FloatCase> {};

INSTANTIATE_TEST_SUITE_P(
    Cases, FloatLinear,
    testing::Values(FloatCase{DType::kI4, 1, DType::kF32, 0.0f}, FloatCase{DType::kI8, 1, DType::kBF16, 0.0f},
                    FloatCase{DType::kS2, 1, DType::kF32, 0.0f}, FloatCase{DType::kI4, 160, DType::kBF16, 0.0f},
                    FloatCase{DType::kI2, 20, DType::kF32, 0.0f}, FloatCase{DType::kS4, 1280, DType::kF32, 0.0f},
                    FloatCase{DType::kI4, 40, DType::kBF16, 0.03f}, FloatCase{DType::kI8, 5120, DType::kF32, 0.03f},
                    FloatCase{DType::kF32, 0, DType::kF32, 0.03f}, FloatCase{DType::kQ8_0, 0, DType::kF32, 0.03f},
                    FloatCase{DType::kTQ2_0, 0, DType::kF32, 0.03f}),
    [](const auto& instance) {
      const FloatCase& c = instance.param;
      return std::string(dtype_name(c.dtype)) + "_" + std::to_string(c.groups) + "_" +
             std::string(dtype_name(c.scale_dtype)) + (c.input_scale > 0.0f ? "_static" : "");
    });

TEST_P(FloatLinear, IsNearDoubleInEveryTableAndSplit) {
  Random random(3);
  constexpr int64_t N = 23, M = 5120, T = 11;
  const Weights weights(GetParam().dtype, N, M, GetParam().groups, GetParam().scale_dtype, random);
  const LinearWeights layer{weights.view, GetParam().input_scale, 0.0f};
  ASSERT_FALSE(is_integer_linear(layer));
  const Floats x = normals(random, T * M);
  const Expected expected = expected_in_double(layer, x);
  for (const Floats& y : products_of_each_table(layer, x)) {
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], expected.values[i], expected.magnitudes[i] * tolerance(M)) << i;
    }
  }
}

TEST_P(FloatLinear, SnapsItsOutput) {
  Random random(4);
  constexpr int64_t N = 40, M = 5120, T = 3;
  const Weights weights(GetParam().dtype, N, M, GetParam().groups, GetParam().scale_dtype, random);
  LinearWeights layer{weights.view, GetParam().input_scale, 0.0f};
  const Floats x = normals(random, T * M);
  const std::vector<Floats> before = products_of_each_table(layer, x);
  layer.output_scale = 0.07f;
  const std::vector<Floats> after = products_of_each_table(layer, x);
  for (size_t table = 0; table < before.size(); ++table) {
    for (size_t i = 0; i < after[table].size(); ++i) {
      ASSERT_EQ(after[table][i], snap_static(before[table][i], 0.07f)) << i;
    }
  }
}

TEST(Linear, RowsWithNanGiveRowsOfNan) {
  Random random(5);
  constexpr int64_t N = 50, M = 256, T = 12;
  for (const auto& [dtype, groups] : {std::pair{DType::kI4, 1}, {DType::kI8, 1}, {DType::kI2, 4}, {DType::kQ4_0, 0}}) {
    const Weights weights(dtype, N, M, groups, DType::kF32, random);
    for (const float output_scale : {0.0f, 0.5f}) {
      const LinearWeights layer{weights.view, 0.02f, output_scale};
      const Floats clean = normals(random, T * M);
      Floats x = clean;
      x[3 * M] = std::nanf("");
      x[7 * M + M - 1] = -std::nanf("");
      const std::vector<Floats> expected = products_of_each_table(layer, clean),
                                found = products_of_each_table(layer, x);
      for (size_t table = 0; table < found.size(); ++table) {
        for (size_t i = 0; i < found[table].size(); ++i) {
          const size_t t = i / N;
          if (t == 3 || t == 7) {
            ASSERT_TRUE(std::isnan(found[table][i])) << dtype_name(dtype) << " " << i;
          } else {
            ASSERT_EQ(found[table][i], expected[table][i]) << dtype_name(dtype) << " " << i;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace carat
