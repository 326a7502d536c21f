#include "lattice/codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "kernels/select.h"
#include "lattice/static_range.h"

// Kernels on integer codes: every table against plain loops, with no tolerance.

namespace carat {
namespace {

using Bits = std::vector<uint32_t>;

Bits bits_of(const std::vector<float>& values) {
  Bits bits(values.size());
  if (!values.empty()) std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

std::vector<int8_t> random_codes(int bits, int64_t n, Random& random) {
  std::vector<int8_t> codes(static_cast<size_t>(n));
  for (int8_t& code : codes) code = static_cast<int8_t>(code_range(bits).lowest + random.below(1 << bits));
  return codes;
}

/// Rows of weights at any byte address.
class PackedRows {
 public:
  PackedRows(DType dtype, const std::vector<int8_t>& codes, int64_t offset)
      : storage_(*row_bytes(dtype, codes.size()) + static_cast<size_t>(offset)), offset_(offset) {
    pack_codes(dtype, codes, std::span(storage_).subspan(static_cast<size_t>(offset)));
  }
  const std::byte* data() const { return storage_.data() + offset_; }

 private:
  std::vector<std::byte> storage_;
  int64_t offset_;
};

class CodesTest : public testing::TestWithParam<std::tuple<const Kernels*, DType>> {
 protected:
  const Kernels& table() const { return *std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
  int bits() const { return code_bits(dtype()); }

  /// Rows of x that are laid out, `stride` apart from an address that is `offset` behind an aligned one.
  std::vector<int8_t> laid_out(const std::vector<int8_t>& x, int64_t columns, int64_t stride, int64_t offset) const {
    const int64_t rows = static_cast<int64_t>(x.size()) / columns;
    std::vector<int8_t> out(static_cast<size_t>(offset + rows * stride), int8_t{77});
    for (int64_t i = 0; i < rows; ++i) {
      int8_t* row = out.data() + offset + i * stride;
      std::copy_n(x.data() + i * columns, columns, row);
      table().lay_out_codes[code_type_index(dtype())](row, columns);
      for (int64_t at = code_row_bytes(columns); at < stride; ++at) EXPECT_EQ(row[at], 77) << "written behind a row";
    }
    return out;
  }

  struct Places {
    int64_t rows = 0, x = 0;  ///< bytes from an aligned address
    int64_t gap = 0;          ///< bytes between rows of x
    int64_t out_gap = 0;      ///< floats between rows of products
  };

  /// Products of rows of weights [., columns] with rows of x.
  std::vector<float> dot(int64_t columns, const std::vector<int8_t>& weights, const std::vector<int8_t>& x,
                         const std::vector<float>& factors, const Places& at) const {
    const auto N = static_cast<int64_t>(factors.size()), T = static_cast<int64_t>(x.size()) / columns;
    const int64_t stride = code_row_bytes(columns) + at.gap, out_stride = N + at.out_gap;
    const PackedRows rows(dtype(), weights, at.rows);
    const std::vector<int8_t> codes = laid_out(x, columns, stride, at.x);
    std::vector<float> out(static_cast<size_t>(T * out_stride), kUntouched);
    table().codes_dot[code_type_index(dtype())](rows.data(), N, codes.data() + at.x, stride, T, columns, factors.data(),
                                                out.data(), out_stride);
    return out;
  }

  std::vector<float> dot(const std::vector<int8_t>& weights, const std::vector<int8_t>& x, float factor) const {
    return dot(static_cast<int64_t>(weights.size()), weights, x, {factor}, {});
  }

  static constexpr float kUntouched = -5.0f;
};

/// The same by plain loops, rows of products next to each other.
std::vector<float> plain_dot(int64_t columns, const std::vector<int8_t>& weights, const std::vector<int8_t>& x,
                             const std::vector<float>& factors) {
  std::vector<float> out;
  for (size_t i = 0; i < x.size(); i += static_cast<size_t>(columns)) {
    for (size_t r = 0; r < factors.size(); ++r) {
      int64_t sum = 0;
      for (size_t c = 0; c < static_cast<size_t>(columns); ++c) {
        sum += int64_t{weights[r * static_cast<size_t>(columns) + c]} * x[i + c];
      }
      out.push_back(static_cast<float>(static_cast<int32_t>(sum)) * factors[r]);
    }
  }
  return out;
}

std::vector<float> plain_dot(const std::vector<int8_t>& weights, const std::vector<int8_t>& x, float factor) {
  return plain_dot(static_cast<int64_t>(weights.size()), weights, x, {factor});
}

std::vector<float> random_factors(int64_t n, Random& random) {
  std::vector<float> factors(static_cast<size_t>(n));
  for (float& factor : factors) factor = random.normal();
  return factors;
}

INSTANTIATE_TEST_SUITE_P(EachTableAndType, CodesTest,
                         testing::Combine(testing::ValuesIn(all_kernels()),
                                          testing::Values(DType::kI8, DType::kI4, DType::kI2, DType::kS4, DType::kS2)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)->name) + "_" +
                                  std::string(dtype_name(std::get<1>(instance.param)));
                         });

TEST_P(CodesTest, DotIsExactAtAllLengths) {
  Random random(1);
  std::vector<int64_t> lengths = {511, 512, 1279, 1280, 1284, 1408, 1536, 2560, 4000};
  for (int64_t columns = 1; columns <= 2 * kCodeBlock + 6; ++columns) lengths.push_back(columns);
  for (const int64_t columns : lengths) {
    if (columns % block_elements(dtype()) != 0) continue;
    const std::vector<int8_t> weights = random_codes(bits(), columns, random), x = random_codes(8, columns, random);
    ASSERT_EQ(bits_of(dot(weights, x, 0.37f)), bits_of(plain_dot(weights, x, 0.37f))) << columns << " columns";
  }
}

TEST_P(CodesTest, DotWorksAtAnyAddress) {
  Random random(2);
  constexpr int64_t N = 7, T = 5;
  const std::vector<float> factors = random_factors(N, random);
  for (const int64_t columns : {4, 100, 128, 388}) {
    const std::vector<int8_t> weights = random_codes(bits(), N * columns, random);
    const std::vector<int8_t> x = random_codes(8, T * columns, random);
    const Bits expected = bits_of(plain_dot(columns, weights, x, factors));
    for (int64_t offset = 0; offset < 33; ++offset) {
      ASSERT_EQ(bits_of(dot(columns, weights, x, factors, {.rows = offset})), expected) << "weights at " << offset;
      ASSERT_EQ(bits_of(dot(columns, weights, x, factors, {.x = offset})), expected) << "codes at " << offset;
      ASSERT_EQ(bits_of(dot(columns, weights, x, factors, {.gap = offset})), expected) << offset << " between rows";
    }
  }
}

TEST_P(CodesTest, DotTakesAnyNumberOfRows) {
  Random random(3);
  for (const int64_t columns : {8, 128, 332, 1536}) {
    for (int64_t N = 0; N <= 9; ++N) {
      for (int64_t T = 0; T <= 17; ++T) {
        const std::vector<int8_t> weights = random_codes(bits(), N * columns, random);
        const std::vector<int8_t> x = random_codes(8, T * columns, random);
        const std::vector<float> factors = random_factors(N, random);
        const std::vector<float> out = dot(columns, weights, x, factors, {.x = 1, .gap = 5, .out_gap = 3});
        const std::vector<float> expected = plain_dot(columns, weights, x, factors);
        for (int64_t i = 0; i < T * (N + 3); ++i) {
          const int64_t t = i / (N + 3), r = i % (N + 3);
          const float value = r < N ? expected[static_cast<size_t>(t * N + r)] : kUntouched;
          ASSERT_EQ(out[static_cast<size_t>(i)], value) << columns << " columns, " << N << " with " << T;
        }
      }
    }
  }
}

TEST_P(CodesTest, ExtremesDoNotSaturateInTheLongestRows) {
  const CodeRange range = code_range(bits());
  const int64_t most = (kMostCodeColumns >> (bits() - 1)) / 4 * 4;
  for (const int64_t columns : {int64_t{128}, int64_t{1280}, int64_t{12288}, most}) {
    for (const int weight : {range.lowest, range.highest}) {
      for (const int code : {-128, 127}) {
        const std::vector<int8_t> weights(static_cast<size_t>(columns), static_cast<int8_t>(weight));
        const std::vector<int8_t> x(static_cast<size_t>(columns), static_cast<int8_t>(code));
        ASSERT_LT(std::abs(columns * weight * code), int64_t{1} << 31);
        ASSERT_EQ(dot(weights, x, 1.0f)[0], static_cast<float>(columns * weight * code)) << weight << " * " << code;
      }
    }
  }
}

TEST_P(CodesTest, EachColumnMeetsItsOwn) {
  Random random(4);
  const std::vector<int8_t> weights = random_codes(bits(), 300, random);
  for (size_t c = 0; c < weights.size(); ++c) {
    std::vector<int8_t> x(weights.size());
    x[c] = -128;
    ASSERT_EQ(dot(weights, x, 1.0f)[0], static_cast<float>(weights[c] * -128)) << c;
  }
}

TEST_P(CodesTest, RangeIsThatOfTheSumAlone) {
  // The fields of packed weights are unsigned, so what is summed on the way is larger than the sum.
  const int64_t columns = (kMostCodeColumns >> (bits() - 1)) / 4 * 4;
  std::vector<int8_t> weights(static_cast<size_t>(columns), static_cast<int8_t>(code_range(bits()).highest));
  weights[0] = 0;
  const std::vector<int8_t> x(static_cast<size_t>(columns), int8_t{127});
  EXPECT_EQ(bits_of(dot(weights, x, 1e-3f)), bits_of(plain_dot(weights, x, 1e-3f)));
}

class StaticRangeTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& table() const { return *GetParam(); }

  void expect_equal(const std::vector<float>& x, float scale) const {
    const auto n = static_cast<int64_t>(x.size());
    std::vector<int8_t> codes(x.size() + 1, int8_t{55});
    std::vector<float> snapped = x;
    snapped.push_back(55.0f);
    const bool all_numbers = table().static_codes(x.data(), n, scale, codes.data());
    table().snap_static(snapped.data(), n, scale);
    EXPECT_EQ(all_numbers, std::none_of(x.begin(), x.end(), [](float value) { return std::isnan(value); }));
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_TRUE(std::isnan(x[i]) || codes[i] == static_code(x[i], scale)) << x[i] << " / " << scale;
      ASSERT_EQ(bits_of({snapped[i]}), bits_of({snap_static(x[i], scale)})) << x[i] << " / " << scale;
    }
    EXPECT_EQ(codes.back(), 55);
    EXPECT_EQ(snapped.back(), 55.0f);
  }
};

INSTANTIATE_TEST_SUITE_P(EachTable, StaticRangeTest, testing::ValuesIn(all_kernels()),
                         [](const auto& instance) { return std::string(instance.param->name); });

TEST_P(StaticRangeTest, TiesGoToEven) {
  std::vector<float> x;
  for (int half = -300; half <= 300; ++half) {
    const float value = static_cast<float>(half) / 2;
    for (const float near : {std::nextafter(value, -400.0f), value, std::nextafter(value, 400.0f)}) x.push_back(near);
  }
  expect_equal(x, 1.0f);
  for (float& value : x) value *= 0.0251f;
  expect_equal(x, 0.0251f);
}

TEST_P(StaticRangeTest, WhatIsNotFiniteOrVerySmall) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kLargest = std::numeric_limits<float>::max(), kLeast = std::numeric_limits<float>::denorm_min();
  const std::vector<float> x = {kInfinity, -kInfinity, 0.0f,    -0.0f, kLargest, -kLargest, kLeast, -kLeast,
                                1e-38f,    -1e-38f,    1.0e30f, 3.4f,  -3.4f,    2e9f,      -3e9f};
  for (const float scale : {1.0f, 0.02f, 1e-38f, kLeast, 3e38f, 1.1754944e-38f}) expect_equal(x, scale);
}

TEST_P(StaticRangeTest, NanIsFoundAtEveryPlaceAndStays) {
  for (size_t n = 1; n <= 70; ++n) {
    for (size_t place = 0; place < n; ++place) {
      std::vector<float> x(n, 0.7f);
      x[place] = place % 2 == 0 ? std::nanf("") : -std::nanf("9");
      expect_equal(x, 0.1f);
    }
  }
}

TEST_P(StaticRangeTest, AllLengthsAndMagnitudes) {
  Random random(5);
  for (int64_t n = 0; n <= 140; ++n) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& value : x) value = random.normal() * std::ldexp(1.0f, static_cast<int>(random.below(12)));
    expect_equal(x, 0.01f + random.uniform() * 3.0f);
  }
}

}  // namespace
}  // namespace carat
