#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/select.h"
#include "ops/ops.h"

namespace carat {
namespace {

using Floats = std::vector<float>;

struct AttentionCase {
  int64_t T, H, K, width, first_position, window;
};

/// Queries, and keys and values by position, without a ring.
struct Inputs {
  Inputs(const AttentionCase& shape, Random& random) : positions(shape.first_position + shape.T) {
    q = fill(shape.T * shape.H * shape.width, random);
    keys = fill(positions * shape.K * shape.width, random);
    values = fill(positions * shape.K * shape.width, random);
  }
  static Floats fill(int64_t n, Random& random) {
    Floats numbers(static_cast<size_t>(n));
    for (float& number : numbers) number = random.normal();
    return numbers;
  }
  int64_t positions;
  Floats q, keys, values;
};

std::vector<double> expected_attention(const AttentionCase& c, const Inputs& in) {
  std::vector<double> out(static_cast<size_t>(c.T * c.H * c.width), 0.0);
  for (int64_t item = 0; item < c.T * c.H; ++item) {
    const int64_t p = c.first_position + item / c.H, head = item % c.H / (c.H / c.K);
    std::vector<double> scores;
    double largest = -1e300, sum = 0;
    for (int64_t j = 0; j <= p; ++j) {
      double score = -1e300;
      if (c.window == 0 || j > p - c.window) {
        score = 0;
        for (int64_t i = 0; i < c.width; ++i) {
          score += static_cast<double>(in.q[static_cast<size_t>(item * c.width + i)]) *
                   in.keys[static_cast<size_t>((j * c.K + head) * c.width + i)];
        }
      }
      scores.push_back(score);
      largest = std::max(largest, score);
    }
    for (double& score : scores) sum += score = std::exp(score - largest);
    for (int64_t j = 0; j <= p; ++j) {
      for (int64_t i = 0; i < c.width; ++i) {
        out[static_cast<size_t>(item * c.width + i)] +=
            scores[static_cast<size_t>(j)] / sum * in.values[static_cast<size_t>((j * c.K + head) * c.width + i)];
      }
    }
  }
  return out;
}

/// The same keys and values in a ring of `capacity` rows; rows that no query sees hold NaN.
class Ring {
 public:
  Ring(const AttentionCase& shape, const Inputs& in, int64_t capacity)
      : keys_(static_cast<size_t>(capacity * shape.K * shape.width), NAN), values_(keys_) {
    const int64_t row = shape.K * shape.width;
    for (int64_t j = std::max<int64_t>(0, in.positions - capacity); j < in.positions; ++j) {
      std::copy_n(in.keys.begin() + j * row, row, keys_.begin() + j % capacity * row);
      std::copy_n(in.values.begin() + j * row, row, values_.begin() + j % capacity * row);
    }
    view = {keys_.data(), values_.data(), capacity, shape.K, shape.width};
  }
  KeyValueView view;

 private:
  Floats keys_, values_;
};

Floats attend(Ops& ops, const AttentionCase& c, const Inputs& in, const KeyValueView& cache) {
  Floats out(in.q.size(), NAN);
  ops.attention(in.q.data(), cache, c.T, c.H, c.first_position, c.window, out.data());
  return out;
}

class Attention : public testing::TestWithParam<AttentionCase> {};

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(AttentionCase{1, 1, 1, 2, 0, 0},          // one key: the value itself
                                         AttentionCase{5, 4, 2, 32, 0, 0},         // from the start
                                         AttentionCase{1, 8, 1, 64, 300, 0},       // a decode step, three pieces
                                         AttentionCase{140, 2, 1, 16, 0, 64},      // passes the window twice
                                         AttentionCase{3, 6, 3, 10, 130, 128},     // window of one piece
                                         AttentionCase{7, 2, 2, 8, 500, 1},        // sees itself only
                                         AttentionCase{4, 2, 1, 256, 20, 1000}));  // window not yet full

TEST_P(Attention, EqualsDoubleLoops) {
  Random random(1);
  const AttentionCase c = GetParam();
  const Inputs in(c, random);
  const Ring whole(c, in, in.positions);
  const std::vector<double> expected = expected_attention(c, in);
  for (const Kernels* table : all_kernels()) {
    Ops ops(*table, 2);
    const Floats out = attend(ops, c, in, whole.view);
    // Scores of some tens are off by some 1e-6; so is each probability, relatively.
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 3e-5) << table->name << " at " << i;
  }
}

TEST_P(Attention, BitsDoNotDependOnThreadsOrRingOrSplit) {
  Random random(2);
  const AttentionCase c = GetParam();
  const Inputs in(c, random);
  const Ring whole(c, in, in.positions);
  for (const Kernels* table : all_kernels()) {
    Ops one(*table, 1);
    const Floats expected = attend(one, c, in, whole.view);
    for (int threads : {2, 3, 5}) {
      Ops many(*table, threads);
      EXPECT_EQ(attend(many, c, in, whole.view), expected) << table->name << ", " << threads << " threads";
    }
    const int64_t least = c.window == 0 ? in.positions : std::min(in.positions, c.window + c.T - 1);
    for (int64_t capacity : {least, least + 1, in.positions + 13}) {
      const Ring ring(c, in, capacity);
      EXPECT_EQ(attend(one, c, in, ring.view), expected) << table->name << ", a ring of " << capacity;
    }
    Floats apart(in.q.size());
    const int64_t token = c.H * c.width;
    for (int64_t t = 0; t < c.T; ++t) {
      one.attention(in.q.data() + t * token, whole.view, 1, c.H, c.first_position + t, c.window,
                    apart.data() + t * token);
    }
    EXPECT_EQ(apart, expected) << table->name << ", token by token";
  }
}

TEST(AttentionRange, LargeScoresNeitherOverflowNorVanish) {
  // Scores grow by 1000 from key to key: each new piece raises the maximum so far that the old sum becomes zero.
  constexpr int64_t kPositions = 400;
  Floats keys(kPositions), values(kPositions);
  for (int64_t j = 0; j < kPositions; ++j) {
    keys[static_cast<size_t>(j)] = static_cast<float>(j * 1000);
    values[static_cast<size_t>(j)] = static_cast<float>(j);
  }
  const KeyValueView cache = {keys.data(), values.data(), kPositions, 1, 1};
  for (const Kernels* table : all_kernels()) {
    Ops ops(*table, 1);
    float q = 1.0f, out = 0;
    ops.attention(&q, cache, 1, 1, kPositions - 1, 0, &out);
    EXPECT_EQ(out, 399.0f);
    q = -1.0f;
    ops.attention(&q, cache, 1, 1, kPositions - 1, 0, &out);
    EXPECT_EQ(out, 0.0f);
  }
}

}  // namespace
}  // namespace carat
