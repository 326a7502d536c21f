#include "ops/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "kernels/select.h"
#include "lattice/lattice.h"
#include "tests/support/random_floats.h"

namespace carat {
namespace {

using Floats = std::vector<float>;

/// A tensor with its own bytes, and the exact values that they stand for.
struct Stored {
  Stored(DType dtype, int64_t rows, int64_t columns, Random& random) : exact(normals(random, rows * columns)) {
    bytes.resize(*tensor_bytes(dtype, {rows, columns}));
    encode(dtype, exact, bytes);
    decode(dtype, bytes, exact);
    view = {dtype, {rows, columns}, bytes};
  }
  Floats exact;
  std::vector<std::byte> bytes;
  TensorView view;
};

/// Runs `body(ops)` for each table with 1 thread, then with 2, 3 and 5: `body` returns an output, which must have
/// the same bits each time. Yields the output of each table.
template <typename Body>
std::vector<Floats> outputs_of_each_table(Body body) {
  std::vector<Floats> outputs;
  for (const Kernels* table : all_kernels()) {
    Ops one(*table, 1);
    outputs.push_back(body(one));
    for (int threads : {2, 3, 5}) {
      Ops many(*table, threads);
      EXPECT_EQ(body(many), outputs.back()) << table->name << " with " << threads << " threads";
    }
  }
  return outputs;
}

void expect_near(const Floats& actual, const std::vector<double>& expected, double relative) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], relative * (std::fabs(expected[i]) + 1e-3)) << "at " << i;
  }
}

TEST(Ops, GatherScalesTheChosenRows) {
  Random random(1);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0}) {
    const Stored table(dtype, 50, 96, random);
    const std::vector<int32_t> ids = {49, 0, 7, 7, 31};
    std::vector<double> expected;
    for (int32_t id : ids) {
      for (int64_t c = 0; c < 96; ++c) expected.push_back(table.exact[static_cast<size_t>(id * 96 + c)] * 2.5);
    }
    for (const Floats& out : outputs_of_each_table([&](Ops& ops) {
           Floats gathered(ids.size() * 96);
           ops.gather(table.view, ids, 2.5f, gathered.data());
           return gathered;
         })) {
      expect_near(out, expected, 1e-7);
    }
  }
}

struct LinearCase {
  int64_t N, M, T;
};

class OpsLinear : public testing::TestWithParam<std::tuple<DType, LinearCase>> {};

INSTANTIATE_TEST_SUITE_P(Shapes, OpsLinear,
                         testing::Combine(testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0),
                                          testing::Values(LinearCase{1, 32, 1}, LinearCase{700, 64, 1},
                                                          LinearCase{300, 256, 3}, LinearCase{65, 1536, 50},
                                                          LinearCase{97, 4096, 9})));

TEST_P(OpsLinear, EqualsDoubleLoops) {
  const auto [dtype, shape] = GetParam();
  const auto [N, M, T] = shape;
  Random random(2);
  const Stored weight(dtype, N, M, random);
  const Floats x = normals(random, T * M);
  const std::vector<Floats> outputs = outputs_of_each_table([&, N = N, T = T](Ops& ops) {
    Floats y(static_cast<size_t>(T * N));
    ops.linear(weight.view, x.data(), T, y.data());
    return y;
  });
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      double expected = 0, magnitude = 0;
      for (int64_t m = 0; m < M; ++m) {
        const double term =
            static_cast<double>(weight.exact[static_cast<size_t>(n * M + m)]) * x[static_cast<size_t>(t * M + m)];
        expected += term;
        magnitude += std::fabs(term);
      }
      for (const Floats& y : outputs) {
        ASSERT_NEAR(y[static_cast<size_t>(t * N + n)], expected, magnitude * dot_tolerance(M)) << t << ", " << n;
      }
    }
  }
}

TEST(Ops, LinearGivesTheSameBitsTokenByToken) {
  Random random(3);
  constexpr int64_t N = 130, M = 256, T = 300;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0}) {
    const Stored weight(dtype, N, M, random);
    const Floats x = normals(random, T * M);
    for (const Kernels* table : all_kernels()) {
      Ops ops(*table, 2);
      Floats together(T * N), apart(T * N);
      ops.linear(weight.view, x.data(), T, together.data());
      for (int64_t t = 0; t < T; ++t) ops.linear(weight.view, x.data() + t * M, 1, apart.data() + t * N);
      ASSERT_EQ(together, apart) << table->name << " " << dtype_name(dtype);
    }
  }
}

TEST(Ops, RmsNormWithAndWithoutWeight) {
  Random random(4);
  constexpr int64_t kRows = 400, kColumns = 100;
  Floats x = normals(random, kRows * kColumns);
  for (int64_t c = 0; c < kColumns; ++c) x[static_cast<size_t>(c)] *= 1e30f;             // squares beyond float32
  for (int64_t c = 0; c < kColumns; ++c) x[static_cast<size_t>(kColumns + c)] *= 1e-5f;  // epsilon decides
  for (int64_t c = 0; c < kColumns; ++c) x[static_cast<size_t>(2 * kColumns + c)] = 0.0f;
  const Floats weight = normals(random, kColumns);
  for (const float* gain : {static_cast<const float*>(nullptr), weight.data()}) {
    std::vector<double> expected;
    for (int64_t r = 0; r < kRows; ++r) {
      double squares = 0;
      for (int64_t c = 0; c < kColumns; ++c)
        squares += std::pow(static_cast<double>(x[static_cast<size_t>(r * kColumns + c)]), 2);
      const double factor = 1 / std::sqrt(squares / kColumns + 1e-6);
      for (int64_t c = 0; c < kColumns; ++c) {
        expected.push_back(x[static_cast<size_t>(r * kColumns + c)] * factor * (gain == nullptr ? 1.0 : gain[c]));
      }
    }
    for (const Floats& out : outputs_of_each_table([&](Ops& ops) {
           Floats normed = x;
           ops.rms_norm(normed.data(), gain, kRows, kColumns, 1e-6f, normed.data());
           return normed;
         })) {
      expect_near(out, expected, 5e-7);
    }
  }
}

/// Proportional frequencies: `rotated` pairs of width / 2 turn, the others have frequency 0.
Floats frequencies(int64_t width, int64_t rotated, double theta) {
  Floats values(static_cast<size_t>(width / 2), 0.0f);
  for (int64_t i = 0; i < rotated; ++i) {
    values[static_cast<size_t>(i)] =
        static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width)));
  }
  return values;
}

TEST(Ops, RopeTurnsPairsThatLieHalfAHeadApart) {
  Random random(5);
  constexpr int64_t kTokens = 40, kHeads = 3, kWidth = 64, kFirst = 200000;
  const Floats x = normals(random, kTokens * kHeads * kWidth);
  for (int64_t rotated : {int64_t{8}, kWidth / 2}) {
    const Floats f = frequencies(kWidth, rotated, 1e4);
    std::vector<double> expected(x.size());
    for (int64_t item = 0; item < kTokens * kHeads; ++item) {
      for (int64_t i = 0; i < kWidth / 2; ++i) {
        const float angle = static_cast<float>(kFirst + item / kHeads) * f[static_cast<size_t>(i)];
        const auto left = static_cast<size_t>(item * kWidth + i), right = left + kWidth / 2;
        const double cosine = std::cos(static_cast<double>(angle)), sine = std::sin(static_cast<double>(angle));
        expected[left] = x[left] * cosine - x[right] * sine;
        expected[right] = x[right] * cosine + x[left] * sine;
      }
    }
    for (const Floats& out : outputs_of_each_table([&](Ops& ops) {
           Floats table(kTokens * kWidth), turned = x;
           ops.rope_table(f, kFirst, kTokens, table.data());
           ops.rope(turned.data(), kTokens, kHeads, kWidth, table.data());
           return turned;
         })) {
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(out[i], expected[i], 1e-6) << i;
        const auto pair = static_cast<int64_t>(i) % (kWidth / 2);
        if (pair >= rotated) {
          ASSERT_EQ(out[i], x[i]) << "a pair of frequency 0 moved";
        }
      }
    }
  }
}

TEST(Ops, SoftmaxOfEachRow) {
  Random random(7);
  constexpr int64_t kRows = 300, kColumns = 130;
  Floats x = normals(random, kRows * kColumns);
  for (int64_t c = 0; c < kColumns; ++c) x[static_cast<size_t>(c)] *= 1e4f;              // one value decides
  for (int64_t c = 0; c < kColumns; ++c) x[static_cast<size_t>(kColumns + c)] = -3e38f;  // all alike
  std::vector<double> expected;
  for (int64_t r = 0; r < kRows; ++r) {
    const float* row = x.data() + r * kColumns;
    const double largest = *std::max_element(row, row + kColumns);
    double sum = 0;
    for (int64_t c = 0; c < kColumns; ++c) sum += std::exp(row[c] - largest);
    for (int64_t c = 0; c < kColumns; ++c) expected.push_back(std::exp(row[c] - largest) / sum);
  }
  for (const Floats& out : outputs_of_each_table([&](Ops& ops) {
         Floats result = x;
         ops.softmax(result.data(), kRows, kColumns);
         return result;
       })) {
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 2e-6 * expected[i] + 1e-37) << i;
  }
}

struct Best {
  std::vector<int32_t> indices;
  Floats values;
};

Best best_of_rows(Ops& ops, const Floats& x, int64_t columns, int64_t k) {
  const int64_t rows = static_cast<int64_t>(x.size()) / columns;
  Best best{std::vector<int32_t>(static_cast<size_t>(rows * k)), Floats(static_cast<size_t>(rows * k))};
  ops.top_k(x.data(), rows, columns, k, best.indices.data(), best.values.data());
  return best;
}

TEST(Ops, TopKIsTheHeadOfAStableSort) {
  Random random(8);
  constexpr int64_t kRows = 500, kColumns = 40;
  Floats x = normals(random, kRows * kColumns);
  for (float& value : x) value = std::round(value * 3);  // with many ties
  for (const int threads : {1, 3}) {
    Ops ops(*all_kernels().front(), threads);
    for (const int64_t k : {int64_t{1}, int64_t{2}, int64_t{8}, kColumns}) {
      const Best best = best_of_rows(ops, x, kColumns, k);
      for (int64_t r = 0; r < kRows; ++r) {
        const float* row = x.data() + r * kColumns;
        std::vector<int32_t> order(kColumns);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[a] > row[b]; });
        for (int64_t i = 0; i < k; ++i) {
          ASSERT_EQ(best.indices[static_cast<size_t>(r * k + i)], order[static_cast<size_t>(i)]) << r << ", " << i;
          ASSERT_EQ(best.values[static_cast<size_t>(r * k + i)], row[order[static_cast<size_t>(i)]]);
        }
      }
    }
  }
}

TEST(Ops, TopKGivesDifferentColumnsAlsoWithoutNumbers) {
  Ops ops(*all_kernels().front(), 1);
  const float nan = std::nanf("");
  for (const Floats& row : {Floats{nan, nan, nan, nan}, Floats{1, nan, 3, 2}, Floats{nan, 5, 5, nan}}) {
    for (const int64_t k : {1, 2, 3, 4}) {
      std::vector<int32_t> chosen = best_of_rows(ops, row, 4, k).indices;
      std::sort(chosen.begin(), chosen.end());
      EXPECT_EQ(std::unique(chosen.begin(), chosen.end()), chosen.end());
      EXPECT_GE(chosen.front(), 0);
      EXPECT_LT(chosen.back(), 4);
    }
  }
}

TEST(Ops, RowsAreGatheredAndAddedToTheirPlaces) {
  Random random(9);
  constexpr int64_t kRows = 90, kColumns = 700;
  const Floats x = normals(random, kRows * kColumns);
  std::vector<int32_t> rows;
  Floats factors;
  for (int32_t r = kRows - 1; r >= 0; r -= 3) {
    rows.push_back(r);
    factors.push_back(random.normal());
  }
  std::vector<double> expected(x.begin(), x.end());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int64_t c = 0; c < kColumns; ++c) {
      const auto at = static_cast<size_t>(rows[i] * kColumns + c);
      expected[at] += static_cast<double>(factors[i]) * x[at];
    }
  }
  for (const Floats& out : outputs_of_each_table([&](Ops& ops) {
         Floats gathered(rows.size() * kColumns), sum = x;
         ops.gather_rows(x.data(), rows, kColumns, gathered.data());
         for (size_t i = 0; i < rows.size(); ++i)
           EXPECT_EQ(gathered[i * kColumns], x[static_cast<size_t>(rows[i]) * kColumns]);
         ops.add_to_rows(gathered.data(), factors.data(), rows, kColumns, sum.data());
         return sum;
       })) {
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 3e-7 * (1 + std::fabs(x[i]) * 4)) << i;
  }
}

TEST(Ops, FindsTheFirstRowThatIsNotFinite) {
  Ops ops(*all_kernels().front(), 2);
  constexpr int64_t kRows = 7, kColumns = 33;
  const Floats finite(kRows * kColumns, std::numeric_limits<float>::max());
  EXPECT_EQ(ops.first_not_finite(finite.data(), kRows, kColumns), kRows);
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (int64_t at = 0; at < kRows * kColumns; ++at) {
      Floats x = finite;
      x[static_cast<size_t>(at)] = bad;
      ASSERT_EQ(ops.first_not_finite(x.data(), kRows, kColumns), at / kColumns);
    }
  }
}

TEST(Ops, ElementwiseOperations) {
  Random random(6);
  constexpr int64_t n = 100001;
  const Floats x = normals(random, n), y = normals(random, n);
  struct Case {
    void (*apply)(Ops& ops, float* x, const float* y);
    double (*expected)(double x, double y);
  };
  const Case cases[] = {
      {[](Ops& ops, float* a, const float* b) { ops.add(a, b, n); }, [](double a, double b) { return a + b; }},
      {[](Ops& ops, float* a, const float* b) { ops.add_scaled(a, b, n, 0.7f); },
       [](double a, double b) { return (a + b) * static_cast<double>(0.7f); }},
      {[](Ops& ops, float* a, const float* b) { ops.multiply(a, b, n); }, [](double a, double b) { return a * b; }},
      {[](Ops& ops, float* a, const float*) { ops.scale(a, n, -3.0f); }, [](double a, double) { return -3 * a; }},
      {[](Ops& ops, float* a, const float*) { ops.softcap(a, n, 2.0f); },
       [](double a, double) { return 2 * std::tanh(a / 2); }},
      {[](Ops& ops, float* a, const float* b) { ops.gelu_multiply(a, b, n, a); },
       [](double a, double b) {
         return 0.5 * a * (1 + std::tanh(0.7978845608028654 * (a + 0.044715 * a * a * a))) * b;
       }},
  };
  for (const Case& one : cases) {
    std::vector<double> expected;
    for (size_t i = 0; i < n; ++i) expected.push_back(one.expected(x[i], y[i]));
    for (const Floats& out : outputs_of_each_table([&](Ops& ops) {
           Floats result = x;
           one.apply(ops, result.data(), y.data());
           return result;
         })) {
      for (size_t i = 0; i < n; ++i) {
        const double magnitude = std::fabs(x[i] * y[i]) + std::fabs(x[i]) + std::fabs(y[i]);
        ASSERT_NEAR(out[i], expected[i], 1e-6 * magnitude) << i;
      }
    }
  }
}

}  // namespace
}  // namespace carat
