#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/select.h"
#include "lattice/lattice.h"
#include "lattice/static_range.h"
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

/// `rows` of `row` values, as they are stored.
// Static scales of codes, for the keys and the values of `model_like`.
constexpr float kKeyScale = 0.005f, kValueScale = 0.03f;

std::vector<std::byte> encoded(DType type, const Floats& values, float scale) {
  std::vector<std::byte> bytes(*row_bytes(type, values.size()));
  if (type != DType::kI8) {
    encode(type, values, bytes);
    return bytes;
  }
  for (size_t i = 0; i < values.size(); ++i) bytes[i] = static_cast<std::byte>(static_code(values[i], scale));
  return bytes;
}

void snap_all(DType type, float scale, Floats& values) {
  if (type != DType::kI8) return snap(type, values, values);
  for (float& value : values) value = snap_static(value, scale);
}

/// What a store of `type` makes of the keys and values.
Inputs rounded(Inputs in, DType type) {
  snap_all(type, kKeyScale, in.keys);
  snap_all(type, kValueScale, in.values);
  return in;
}

/// The same keys and values in a ring of `capacity` rows; rows that no query sees hold NaN.
class Ring {
 public:
  Ring(const AttentionCase& shape, const Inputs& in, int64_t capacity, DType type = DType::kF32) {
    const int64_t row = shape.K * shape.width;
    Floats keys(static_cast<size_t>(capacity * row), 0.0f), values = keys;
    const int64_t first = std::max<int64_t>(0, in.positions - capacity);
    for (int64_t j = first; j < in.positions; ++j) {
      std::copy_n(in.keys.begin() + j * row, row, keys.begin() + j % capacity * row);
      std::copy_n(in.values.begin() + j * row, row, values.begin() + j % capacity * row);
    }
    keys_ = encoded(type, keys, kKeyScale);
    values_ = encoded(type, values, kValueScale);
    const auto used = static_cast<size_t>(in.positions - first) * (keys_.size() / static_cast<size_t>(capacity));
    if (type == DType::kI8) {
      faults_.resize(static_cast<size_t>(capacity), 1);
      std::fill_n(faults_.begin(), in.positions - first, uint8_t{0});
    }
    std::fill(keys_.begin() + static_cast<std::ptrdiff_t>(used), keys_.end(), std::byte{0xff});
    std::fill(values_.begin() + static_cast<std::ptrdiff_t>(used), values_.end(), std::byte{0xff});
    view = {.type = type,
            .keys = keys_.data(),
            .values = values_.data(),
            .capacity = capacity,
            .key_scale = kKeyScale,
            .value_scale = kValueScale,
            .faults = faults_,
            .kv_heads = shape.K,
            .width = shape.width};
  }
  KeyValueView view;

 private:
  std::vector<std::byte> keys_, values_;
  std::vector<uint8_t> faults_;
};

Floats attend(Ops& ops, const AttentionCase& c, const Floats& q, const KeyValueView& cache, int64_t more_rows = 0) {
  Floats out(q.size(), NAN);
  Floats scratch(static_cast<size_t>(attention_scratch(c.T + more_rows, c.H, c.width)), NAN);
  const AttentionShape shape = {.T = c.T, .heads = c.H, .first_position = c.first_position, .window = c.window};
  ops.attention(q.data(), cache, shape, scratch, out.data());
  return out;
}

/// Queries and keys whose scores are as large as those of a model: keys of unit length or so.
Inputs model_like(const AttentionCase& c, Random& random) {
  Inputs in(c, random);
  for (float& key : in.keys) key /= std::sqrt(static_cast<float>(c.width));
  return in;
}

double relative_rms(const Floats& found, const std::vector<double>& expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
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
    const Floats out = attend(ops, c, in.q, whole.view);
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
    const Floats expected = attend(one, c, in.q, whole.view);
    for (int threads : {2, 3, 5}) {
      Ops many(*table, threads);
      EXPECT_EQ(attend(many, c, in.q, whole.view), expected) << table->name << ", " << threads << " threads";
    }
    const int64_t least = c.window == 0 ? in.positions : std::min(in.positions, c.window + c.T - 1);
    for (int64_t capacity : {least, least + 1, in.positions + 13}) {
      const Ring ring(c, in, capacity);
      EXPECT_EQ(attend(one, c, in.q, ring.view), expected) << table->name << ", a ring of " << capacity;
    }
    Floats apart;
    const int64_t token = c.H * c.width;
    for (int64_t t = 0; t < c.T; ++t) {
      AttentionCase alone = c;
      alone.T = 1;
      alone.first_position += t;
      const Floats q(in.q.begin() + t * token, in.q.begin() + (t + 1) * token);
      const Floats out = attend(one, alone, q, whole.view, 2 * t);
      apart.insert(apart.end(), out.begin(), out.end());
    }
    EXPECT_EQ(apart, expected) << table->name << ", token by token";
    for (int64_t more_rows : {1, 2, 500}) {
      EXPECT_EQ(attend(one, c, in.q, whole.view, more_rows), expected) << table->name << ", more scratch memory";
    }
  }
}

struct Rounding {
  DType type;
  double tolerance;  // of the result's root mean square
};

class RoundedAttention : public testing::TestWithParam<Rounding> {};

INSTANTIATE_TEST_SUITE_P(Types, RoundedAttention,
                         testing::Values(Rounding{DType::kF32, 1e-6}, Rounding{DType::kF16, 1e-3},
                                         Rounding{DType::kQ8_0, 1e-2}, Rounding{DType::kQ4_0, 0.15},
                                         Rounding{DType::kI8, 4e-2}),
                         [](const auto& rounding) { return std::string(dtype_name(rounding.param.type)); });

constexpr AttentionCase kRoundedCases[] = {
    {1, 8, 1, 64, 300, 0}, {40, 4, 2, 32, 100, 64}, {3, 64, 1, 96, 130, 0}, {2, 8, 2, 512, 140, 0}};

TEST_P(RoundedAttention, IsExactForWhatIsStored) {
  const DType type = GetParam().type;
  Random random(3);
  for (const AttentionCase& c : kRoundedCases) {
    const Inputs in = model_like(c, random);
    const Ring ring(c, in, c.window == 0 ? in.positions : c.window + c.T - 1, type);
    const std::vector<double> expected = expected_attention(c, rounded(in, type));
    for (const Kernels* table : all_kernels()) {
      Ops ops(*table, 2);
      const Floats out = attend(ops, c, in.q, ring.view);
      for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 3e-6) << table->name << " at " << i;
    }
  }
}

TEST_P(RoundedAttention, IsNearWhatWasGiven) {
  Random random(4);
  Ops ops(*all_kernels().front(), 1);
  for (const AttentionCase& c : kRoundedCases) {
    const Inputs in = model_like(c, random);
    const Ring ring(c, in, in.positions, GetParam().type);
    EXPECT_LT(relative_rms(attend(ops, c, in.q, ring.view), expected_attention(c, in)), GetParam().tolerance);
  }
}

TEST_P(RoundedAttention, KeysMadeOfValuesAreThoseThatWouldHaveBeenStored) {
  Random random(5);
  for (const AttentionCase& c : kRoundedCases) {
    if (c.window != 0) continue;
    Inputs in = model_like(c, random);
    const int64_t pairs = c.width / 8;
    Floats norm = Inputs::fill(c.width, random), frequencies(static_cast<size_t>(c.width / 2), 0.0f);
    for (int64_t i = 0; i < pairs; ++i) frequencies[static_cast<size_t>(i)] = 1.0f / static_cast<float>(i + 1);
    for (const Kernels* table : all_kernels()) {
      Ops ops(*table, 3);
      // Keys are made of the stored values, and kept as they are.
      Inputs made = rounded(in, GetParam().type);
      Floats angles(static_cast<size_t>(in.positions * c.width));
      ops.rope_table(frequencies, 0, in.positions, angles.data());
      made.keys = made.values;
      for (size_t i = 0; i < made.keys.size(); ++i) made.keys[i] *= norm[i % norm.size()];
      ops.rope(made.keys.data(), in.positions, c.K, c.width, angles.data());
      const Ring kept(c, made, in.positions);

      Floats rotations;
      for (int64_t p = 0; p < in.positions; ++p) {
        const auto row = angles.begin() + p * c.width;
        rotations.insert(rotations.end(), row, row + 2 * pairs);
      }
      const Ring ring(c, in, in.positions, GetParam().type);
      KeyValueView view = ring.view;
      view.keys = nullptr;
      view.key_norm = norm.data();
      view.rotations = rotations.data();
      view.rotated_pairs = pairs;
      EXPECT_EQ(attend(ops, c, in.q, view), attend(ops, c, in.q, kept.view)) << table->name;
    }
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
  const AttentionCase c = {1, 1, 1, 1, kPositions - 1, 0};
  Random random(6);
  Inputs in(c, random);
  in.keys = keys;
  in.values = values;
  const Ring ring(c, in, kPositions);
  for (const Kernels* table : all_kernels()) {
    Ops ops(*table, 1);
    EXPECT_EQ(attend(ops, c, {1.0f}, ring.view), Floats{399.0f});
    EXPECT_EQ(attend(ops, c, {-1.0f}, ring.view), Floats{0.0f});
  }
}

TEST(AttentionRange, WhatIsNoNumberStaysSo) {
  const AttentionCase c = {2, 2, 1, 32, 130, 0};
  Random random(7);
  const Inputs in(c, random);
  for (const DType type : {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    const Ring ring(c, in, in.positions, type);
    auto* keys = const_cast<std::byte*>(ring.view.keys);
    std::fill_n(keys + 5 * static_cast<int64_t>(*row_bytes(type, 32)), *row_bytes(type, 32), std::byte{0xff});
    for (const Kernels* table : all_kernels()) {
      Ops ops(*table, 1);
      for (const float value : attend(ops, c, in.q, ring.view)) EXPECT_TRUE(std::isnan(value)) << table->name;
    }
  }
}

TEST(AttentionRange, ARowOfCodesThatIsMarkedIsNoNumber) {
  const AttentionCase c = {2, 2, 1, 32, 130, 0};
  Random random(8);
  const Inputs in(c, random);
  const Ring ring(c, in, in.positions, DType::kI8);
  for (const size_t marked : {size_t{0}, size_t{5}, size_t{131}}) {
    std::vector<uint8_t> faults(static_cast<size_t>(in.positions), 0);
    faults[marked] = 1;
    KeyValueView view = ring.view;
    view.faults = faults;
    for (const Kernels* table : all_kernels()) {
      Ops ops(*table, 1);
      const Floats out = attend(ops, c, in.q, view);
      const size_t token = out.size() / 2;
      // Position 131 is seen by the second token alone.
      for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), marked < 131 || i >= token) << table->name;
    }
  }
}

}  // namespace
}  // namespace carat
