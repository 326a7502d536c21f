#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/select.h"
#include "lattice/lattice.h"
#include "tests/support/random_blocks.h"
#include "tests/support/random_floats.h"

namespace carat {
namespace {

/// Floats at a chosen distance from an aligned address, with a guard value behind them.
class Misaligned {
 public:
  Misaligned(const std::vector<float>& values, int64_t offset)
      : storage_(values.size() + static_cast<size_t>(offset) + 1, kGuard), data_(storage_.data() + offset) {
    std::copy(values.begin(), values.end(), data_);
  }
  float* data() { return data_; }
  bool guard_is_whole() const { return storage_.back() == kGuard; }

 private:
  static constexpr float kGuard = 12345.0f;
  std::vector<float> storage_;
  float* data_;
};

/// Lengths up to two vectors of 32 and a few beyond, so that every remainder occurs with and without whole blocks.
std::vector<int64_t> all_lengths() {
  std::vector<int64_t> lengths;
  for (int64_t n = 1; n <= 68; ++n) lengths.push_back(n);
  for (int64_t n : {95, 96, 97, 127, 128, 129, 255, 256, 512, 1000, 1536}) lengths.push_back(n);
  return lengths;
}

class KernelsTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& table() const { return *GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(EachTable, KernelsTest, testing::ValuesIn(all_kernels()),
                         [](const auto& instance) { return std::string(instance.param->name); });

/// A row of weights at any byte address, as it lies in a file, and its exact values.
struct StoredRow {
  StoredRow(DType dtype, int64_t columns, int64_t byte_offset, Random& random) : exact(static_cast<size_t>(columns)) {
    const std::vector<std::byte> blocks = random_blocks(dtype, columns, random);
    storage.resize(blocks.size() + static_cast<size_t>(byte_offset));
    bytes = storage.data() + byte_offset;
    std::copy(blocks.begin(), blocks.end(), bytes);
    decode(dtype, blocks, exact);
  }
  std::vector<float> exact;
  std::vector<std::byte> storage;
  std::byte* bytes;
};

struct Expected {
  double value;
  double tolerance;
};

Expected expected_dot(const std::vector<float>& row, const float* x) {
  double value = 0, magnitude = 0;
  for (size_t c = 0; c < row.size(); ++c) {
    value += static_cast<double>(row[c]) * x[c];
    magnitude += std::fabs(static_cast<double>(row[c]) * x[c]);
  }
  return {value, magnitude * dot_tolerance(static_cast<int64_t>(row.size()))};
}

std::vector<DType> every_dtype() {
  std::vector<DType> dtypes = all_dtypes();
  for (int i = kGgufDTypes; i < kDTypes; ++i) dtypes.push_back(static_cast<DType>(i));
  return dtypes;
}

class StoredRowsTest : public testing::TestWithParam<std::tuple<const Kernels*, DType>> {
 protected:
  RowsDot rows_dot() const { return std::get<0>(GetParam())->rows_dot[static_cast<size_t>(dtype())]; }
  DecodeRow decode_row() const { return std::get<0>(GetParam())->decode_row[static_cast<size_t>(dtype())]; }
  DType dtype() const { return std::get<1>(GetParam()); }
  bool holds(int64_t columns) const { return columns % block_elements(dtype()) == 0; }
};

INSTANTIATE_TEST_SUITE_P(EachTableAndType, StoredRowsTest,
                         testing::Combine(testing::ValuesIn(all_kernels()), testing::ValuesIn(every_dtype())),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)->name) + "_" +
                                  std::string(dtype_name(std::get<1>(instance.param)));
                         });

TEST_P(StoredRowsTest, DotEqualsDoubleAtAllLengthsAndMisalignments) {
  Random random(1);
  for (int64_t columns : all_lengths()) {
    if (!holds(columns)) continue;
    for (int64_t row_offset : {0, 1, 2, 3, 6}) {
      for (int64_t x_offset : {0, 1, 3}) {
        const StoredRow row(dtype(), columns, row_offset, random);
        Misaligned x(normals(random, columns), x_offset);
        float out = 0;
        rows_dot()(row.bytes, x.data(), columns, 1, columns, &out, 1);
        const Expected expected = expected_dot(row.exact, x.data());
        EXPECT_NEAR(out, expected.value, expected.tolerance)
            << columns << " columns, " << row_offset << ", " << x_offset;
      }
    }
  }
}

TEST_P(StoredRowsTest, BitsOfDotsDoNotDependOnTheNumberOfRows) {
  Random random(2);
  constexpr int64_t kMost = 19;
  for (int64_t columns : {1, 7, 32, 40, 64, 100, 256, 768, 1000}) {
    if (!holds(columns)) continue;
    const int64_t x_stride = columns + 3, out_stride = 2;
    const StoredRow row(dtype(), columns, 1, random);
    const std::vector<float> x = normals(random, kMost * x_stride);
    for (int64_t n_x = 0; n_x <= kMost; ++n_x) {
      std::vector<float> together(kMost * out_stride, -1.0f);
      rows_dot()(row.bytes, x.data(), x_stride, n_x, columns, together.data(), out_stride);
      for (int64_t i = 0; i < kMost * out_stride; ++i) {
        float alone = -1.0f;
        if (i % out_stride == 0 && i / out_stride < n_x) {
          rows_dot()(row.bytes, x.data() + i / out_stride * x_stride, x_stride, 1, columns, &alone, 1);
        }
        ASSERT_EQ(together[static_cast<size_t>(i)], alone) << columns << " columns, row " << i << " of " << n_x;
      }
    }
  }
}

TEST_P(StoredRowsTest, DotUsesEachWeightExactly) {
  // One activation of 1 among zeros picks one weight, without any rounding.
  Random random(3);
  for (int64_t columns : {32, 64, 96, 512}) {
    if (!holds(columns)) continue;
    const StoredRow row(dtype(), columns, 1, random);
    for (int64_t c = 0; c < columns; ++c) {
      std::vector<float> x(static_cast<size_t>(columns), 0.0f);
      x[static_cast<size_t>(c)] = 1.0f;
      float out = 0;
      rows_dot()(row.bytes, x.data(), columns, 1, columns, &out, 1);
      ASSERT_EQ(out, row.exact[static_cast<size_t>(c)]) << c << " of " << columns;
    }
  }
}

TEST_P(StoredRowsTest, DecodeGivesTheBitsOfTheLattice) {
  Random random(11);
  for (int64_t columns : all_lengths()) {
    if (!holds(columns)) continue;
    for (int64_t offset : {0, 1, 2, 3}) {
      const StoredRow row(dtype(), columns, offset, random);
      Misaligned out(std::vector<float>(static_cast<size_t>(columns)), offset);
      decode_row()(row.bytes, columns, out.data());
      EXPECT_TRUE(out.guard_is_whole());
      ASSERT_EQ(std::memcmp(out.data(), row.exact.data(), row.exact.size() * sizeof(float)), 0)
          << columns << " columns at " << offset;
    }
  }
}

TEST_P(KernelsTest, RowsDotKnowsAllHalfPrecisionValues) {
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      const auto stored = static_cast<uint16_t>(bits);
      const std::byte* row = reinterpret_cast<const std::byte*>(&stored);
      float exact = 0, out = 0;
      decode(dtype, Bytes(row, sizeof(stored)), std::span<float>(&exact, 1));
      const float one = 1.0f;
      table().rows_dot[static_cast<size_t>(dtype)](row, &one, 1, 1, 1, &out, 1);
      ASSERT_TRUE(out == exact || (std::isnan(out) && std::isnan(exact))) << dtype_name(dtype) << " " << bits;
    }
  }
}

TEST_P(KernelsTest, AddWeightedRowsEqualsDouble) {
  Random random(4);
  for (int64_t columns : all_lengths()) {
    for (int64_t offset : {0, 1, 3}) {
      const int64_t n = 1 + random.below(9), stride = columns + 5;
      const std::vector<float> weights = normals(random, n), rows = normals(random, n * stride);
      const std::vector<float> before = normals(random, columns);
      Misaligned out(before, offset);
      table().add_weighted_rows(weights.data(), rows.data(), stride, n, columns, out.data());
      EXPECT_TRUE(out.guard_is_whole());
      for (int64_t c = 0; c < columns; ++c) {
        double expected = before[static_cast<size_t>(c)], magnitude = std::fabs(expected);
        for (int64_t j = 0; j < n; ++j) {
          const double term =
              static_cast<double>(weights[static_cast<size_t>(j)]) * rows[static_cast<size_t>(j * stride + c)];
          expected += term;
          magnitude += std::fabs(term);
        }
        ASSERT_NEAR(out.data()[c], expected, magnitude * static_cast<double>(n + 1) * 0x1p-23) << columns << ", " << c;
      }
    }
  }
}

TEST_P(KernelsTest, AddWeightedRowsCanBeSplit) {
  Random random(5);
  constexpr int64_t kRows = 11;
  for (int64_t columns : {1, 8, 13, 64, 77, 256}) {
    const std::vector<float> weights = normals(random, kRows), rows = normals(random, kRows * columns);
    std::vector<float> whole(static_cast<size_t>(columns), 0.5f);
    table().add_weighted_rows(weights.data(), rows.data(), columns, kRows, columns, whole.data());
    for (int64_t cut = 0; cut <= kRows; ++cut) {
      std::vector<float> split(static_cast<size_t>(columns), 0.5f);
      table().add_weighted_rows(weights.data(), rows.data(), columns, cut, columns, split.data());
      table().add_weighted_rows(weights.data() + cut, rows.data() + cut * columns, columns, kRows - cut, columns,
                                split.data());
      ASSERT_EQ(whole, split) << columns << " columns cut at " << cut;
    }
  }
}

TEST_P(KernelsTest, ExpSumStaysWithinItsTolerance) {
  Random random(6);
  for (int64_t n : all_lengths()) {
    for (int64_t offset : {0, 1, 3}) {
      std::vector<float> values(static_cast<size_t>(n));
      const float shift = 3.0f * random.normal();
      for (float& value : values) value = shift - 86.0f * random.uniform() * random.uniform();
      Misaligned x(values, offset);
      const float sum = table().exp_sum(x.data(), n, shift);
      EXPECT_TRUE(x.guard_is_whole());
      double expected_sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        const double expected = std::exp(static_cast<double>(values[static_cast<size_t>(i)] - shift));
        ASSERT_NEAR(x.data()[i], expected, expected * kExpTolerance);
        expected_sum += x.data()[i];
      }
      ASSERT_NEAR(sum, expected_sum, expected_sum * 1e-7);
    }
  }
}

TEST_P(KernelsTest, ExpSumSweepsTheWholeRange) {
  for (float exponent = 0; exponent > -87.0f; exponent -= 0.00037f) {
    float x = exponent;
    table().exp_sum(&x, 1, 0.0f);
    const double expected = std::exp(static_cast<double>(exponent));
    ASSERT_NEAR(x, expected, expected * kExpTolerance) << exponent;
  }
}

TEST_P(KernelsTest, ExpSumOfHiddenAndFarKeysIsZero) {
  float x[] = {0.0f, -std::numeric_limits<float>::infinity(), -1e30f, -88.0f, -200.0f};
  EXPECT_EQ(table().exp_sum(x, 5, 0.0f), 1.0f);
  EXPECT_EQ(x[0], 1.0f);
  EXPECT_EQ(x[1], 0.0f);
  EXPECT_EQ(x[2], 0.0f);
  EXPECT_LT(x[3], 2e-38f);
  EXPECT_EQ(x[4], 0.0f);
}

TEST_P(KernelsTest, ExpSumHidesNoNan) {
  for (size_t place = 0; place < 19; ++place) {
    std::vector<float> x(19, -1.0f);
    x[place] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(table().exp_sum(x.data(), 19, 0.0f))) << place;
    EXPECT_TRUE(std::isnan(x[place])) << place;
  }
}

TEST_P(KernelsTest, MaximumIsFoundAtEveryPlace) {
  Random random(7);
  for (int64_t n : all_lengths()) {
    for (int64_t place = 0; place < n; ++place) {
      std::vector<float> values(static_cast<size_t>(n), -1e30f);
      values[static_cast<size_t>(place)] = -7.0f;
      Misaligned x(values, place % 3);
      ASSERT_EQ(table().maximum(x.data(), n), -7.0f) << place << " of " << n;
    }
  }
}

TEST_P(KernelsTest, SumOfSquaresIsThatOfDoubles) {
  Random random(8);
  for (int64_t n : all_lengths()) {
    const std::vector<float> values = normals(random, n);
    double expected = 0;
    for (float value : values) expected += static_cast<double>(value) * value;
    Misaligned x(values, n % 4);
    ASSERT_NEAR(table().sum_of_squares(x.data(), n), expected, expected * 0x1p-40) << n;
  }
}

TEST_P(KernelsTest, SumOfSquaresOfFiniteValuesDoesNotOverflow) {
  const float x[] = {1e30f, -2e30f, 3e38f};
  EXPECT_NEAR(table().sum_of_squares(x, 3), 9.0000000000000005e76, 1e70);
}

double exact_gelu(double a) { return 0.5 * a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a))); }

TEST_P(KernelsTest, GeluMultiplyStaysWithinItsTolerance) {
  Random random(9);
  for (int64_t n : all_lengths()) {
    const std::vector<float> gate = normals(random, n), up = normals(random, n);
    Misaligned out(gate, n % 4);
    table().gelu_multiply(out.data(), up.data(), n, out.data());
    EXPECT_TRUE(out.guard_is_whole());
    for (size_t i = 0; i < gate.size(); ++i) {
      const double scale = std::fabs(static_cast<double>(gate[i]) * up[i]);
      ASSERT_NEAR(out.data()[i], exact_gelu(gate[i]) * up[i], scale * kGeluTolerance) << gate[i];
    }
  }
}

TEST_P(KernelsTest, GeluSweepsFromTailToTail) {
  const float one = 1.0f;
  for (float gate = -30; gate < 30; gate += 0.00031f) {
    float out = 0;
    table().gelu_multiply(&gate, &one, 1, &out);
    ASSERT_NEAR(out, exact_gelu(gate), std::fabs(gate) * kGeluTolerance) << gate;
  }
  for (float gate : {-1e10f, -1e4f, 1e4f, 1e10f}) {
    float out = 0;
    table().gelu_multiply(&gate, &one, 1, &out);
    EXPECT_NEAR(out, gate > 0 ? gate : 0.0f, std::fabs(gate) * kGeluTolerance);
  }
}

TEST_P(KernelsTest, GeluOfNegativeGatesDoesNotCancel) {
  const float one = 1.0f;
  for (float gate = -5; gate < 0; gate += 0.00031f) {
    float out = 0;
    table().gelu_multiply(&gate, &one, 1, &out);
    ASSERT_NEAR(out, exact_gelu(gate), -exact_gelu(gate) * kGeluTailTolerance) << gate;
  }
}

TEST_P(KernelsTest, SoftcapHidesNeitherInfinityNorNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (size_t place = 0; place < 19; ++place) {
      std::vector<float> x(19, 1.0f);
      x[place] = value;
      table().softcap(x.data(), 19, 30.0f);
      for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::isnan(x[i]), i == place) << value << " at " << place;
    }
  }
}

TEST_P(KernelsTest, SoftcapStaysWithinItsTolerance) {
  Random random(10);
  for (int64_t n : all_lengths()) {
    std::vector<float> values = normals(random, n);
    for (float& value : values) value *= 40.0f;
    Misaligned x(values, n % 4);
    table().softcap(x.data(), n, 30.0f);
    EXPECT_TRUE(x.guard_is_whole());
    for (size_t i = 0; i < values.size(); ++i) {
      const double expected = 30 * std::tanh(static_cast<double>(values[i]) / 30);
      ASSERT_NEAR(x.data()[i], expected, std::fabs(expected) * kTanhTolerance) << values[i];
    }
  }
}

TEST_P(KernelsTest, SoftcapSweepsSmallAndLarge) {
  for (float magnitude = 1e-6f; magnitude < 1e8f; magnitude *= 1.0003f) {
    for (float value : {magnitude, -magnitude}) {
      float x = value;
      table().softcap(&x, 1, 30.0f);
      const double expected = 30 * std::tanh(static_cast<double>(value) / 30);
      ASSERT_NEAR(x, expected, std::fabs(expected) * kTanhTolerance) << value;
    }
  }
}

}  // namespace
}  // namespace carat
