#include "formats/recovered_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "base/random.h"
#include "lattice/lattice.h"
#include "tests/support/lattice_values.h"
#include "tests/support/random_floats.h"

namespace carat {
namespace {

constexpr int64_t kGroup = 32;
constexpr TensorLattice kBlocks{
    DType::kQ4_0, kGroup, {.negative_scales = true, .scale_type = DType::kF16, .value_type = DType::kBF16}};

/// Groups that lie on a lattice, but for every fifth; the scale of every seventh does not fit in binary16.
std::vector<float> mixed_groups(int64_t groups) {
  Random random(1);
  std::vector<float> values = normals(random, groups * kGroup);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t group = i / kGroup;
    const float scale = group % 7 == 0 ? 0x1.82p-30f : 0x1.82p-8f;
    const auto code = static_cast<int>(random.below(15)) - 7;
    values[i] = group % 5 == 0 ? rounded(DType::kBF16, values[i]) : lattice_value(kBlocks.rule, code, scale);
  }
  return values;
}

TEST(RecoveredRows, AreTheSameForAnyNumberOfThreads) {
  const std::vector<float> values = mixed_groups(6000);
  ThreadPool one(1), four(4);
  RecoveredRows alone, together;
  recover_rows(kBlocks, values, one, alone);
  recover_rows(kBlocks, values, four, together);
  ASSERT_EQ(alone.groups.size(), 6000u);
  ASSERT_EQ(alone.codes.size(), values.size());
  EXPECT_EQ(alone.codes, together.codes);
  for (size_t i = 0; i < alone.groups.size(); ++i) {
    ASSERT_EQ(alone.groups[i].outcome, together.groups[i].outcome);
    ASSERT_EQ(alone.groups[i].scale, together.groups[i].scale);
    ASSERT_EQ(alone.groups[i].telling, together.groups[i].telling);
    const bool off = i % 5 == 0, unfit = i % 7 == 0;
    ASSERT_EQ(alone.groups[i].outcome,
              off ? Recovery::kOffLattice : (unfit ? Recovery::kScaleUnfit : Recovery::kExact));
    if (off) continue;
    ASSERT_TRUE(gives(kBlocks.rule, std::span(values).subspan(i * kGroup, kGroup), alone.groups[i],
                      std::span(alone.codes).subspan(i * kGroup, kGroup)));
  }
}

TEST(RecoveredRows, AResultOfEarlierRowsIsReplaced) {
  ThreadPool threads(1);
  RecoveredRows rows;
  recover_rows(kBlocks, mixed_groups(10), threads, rows);
  recover_rows(kBlocks, std::vector<float>(kGroup, 0.0f), threads, rows);
  ASSERT_EQ(rows.groups.size(), 1u);
  EXPECT_EQ(rows.groups[0].outcome, Recovery::kExact);
  EXPECT_EQ(rows.codes, std::vector<int8_t>(kGroup, 0));
}

RecoveryCount counted(const TensorLattice& lattice, std::span<const float> values) {
  ThreadPool threads(1);
  RecoveredRows rows;
  recover_rows(lattice, values, threads, rows);
  RecoveryCount count;
  for (const RecoveredGroup& group : rows.groups) count.add(group);
  return count;
}

TEST(RecoveredRows, AreCounted) {
  std::vector<float> values = mixed_groups(35);
  values.resize(values.size() + kGroup, 0.0f);
  RecoveryCount count = counted(kBlocks, values);
  EXPECT_EQ(count.groups, 36u);
  EXPECT_EQ(count.off_lattice, 7u);
  EXPECT_EQ(count.scale_unfit, 4u);
  EXPECT_EQ(count.exact, 25u);
  EXPECT_EQ(count.telling, 35u);
  EXPECT_EQ(count.telling_exact, 28u);
  count.add(count);
  EXPECT_EQ(count.groups, 72u);
  EXPECT_EQ(count.off_lattice, 14u);
  EXPECT_EQ(count.scale_unfit, 8u);
  EXPECT_EQ(count.exact, 50u);
  EXPECT_EQ(count.telling, 70u);
  EXPECT_EQ(count.telling_exact, 56u);
}

TEST(RecoveredRows, OneTellingGroupInAHundredWasQuantized) {
  EXPECT_TRUE(was_quantized({.groups = 200, .telling = 200, .telling_exact = 2}));
  EXPECT_FALSE(was_quantized({.groups = 200, .telling = 200, .telling_exact = 1}));
  EXPECT_FALSE(was_quantized({.groups = 201, .telling = 201, .telling_exact = 2}));
  EXPECT_TRUE(was_quantized({.groups = 200, .telling = 1, .telling_exact = 1}));
  EXPECT_FALSE(was_quantized({.groups = 200, .exact = 200}));
  EXPECT_FALSE(was_quantized({}));
}

TEST(RecoveredRows, OrdinaryFloatsWereNotQuantized) {
  Random random(2);
  std::vector<float> values = normals(random, 1000 * kGroup);
  for (float& value : values) value = rounded(DType::kBF16, value);
  for (const SchemeRule& rule : {SchemeRule{"", DType::kQ4_0}, SchemeRule{"", DType::kQ8_0},
                                 SchemeRule{"", DType::kI8, 0}, SchemeRule{"", DType::kI2, 32}}) {
    const RecoveryCount count = counted(*tensor_lattice(rule, 320, DType::kBF16, DType::kF32), values);
    EXPECT_EQ(count.telling, count.groups);
    EXPECT_EQ(count.off_lattice, count.groups);
    EXPECT_FALSE(was_quantized(count));
  }
}

TEST(TensorLattice, OfBlocksHasScalesOfAnySign) {
  for (DType blocks : {DType::kQ4_0, DType::kQ8_0}) {
    for (DType scale_type : {DType::kF16, DType::kBF16}) {
      const auto lattice = tensor_lattice({"", blocks}, 1536, DType::kBF16, scale_type);
      ASSERT_TRUE(lattice);
      EXPECT_EQ(lattice->lattice, blocks);
      EXPECT_EQ(lattice->group, 32);
      EXPECT_EQ(lattice->rule.bits, blocks == DType::kQ4_0 ? 4 : 8);
      EXPECT_TRUE(lattice->rule.lowest_code);
      EXPECT_TRUE(lattice->rule.negative_scales);
      EXPECT_EQ(lattice->rule.scale_type, scale_type);
      EXPECT_EQ(lattice->rule.value_type, DType::kBF16);
    }
  }
  EXPECT_FALSE(tensor_lattice({"", DType::kQ4_0}, 48, DType::kBF16, DType::kF16));
}

TEST(TensorLattice, OfCodesHasGroupsOrWholeRows) {
  const auto row = tensor_lattice({"", DType::kI2}, 1536, DType::kF32, DType::kF32);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->group, 1536);
  EXPECT_EQ(row->rule.bits, 2);
  EXPECT_TRUE(row->rule.lowest_code);
  EXPECT_FALSE(row->rule.negative_scales);
  EXPECT_EQ(row->rule.value_type, DType::kF32);
  const auto groups = tensor_lattice({"", DType::kI4, 128}, 1536, DType::kF16, DType::kBF16);
  ASSERT_TRUE(groups);
  EXPECT_EQ(groups->group, 128);
  EXPECT_EQ(groups->rule.bits, 4);
  EXPECT_TRUE(groups->rule.negative_scales);
  EXPECT_FALSE(tensor_lattice({"", DType::kI4, 128}, 1536, DType::kF16, DType::kF16)->rule.negative_scales);
  EXPECT_FALSE(tensor_lattice({"", DType::kI8, 1536}, 1536, DType::kF16, DType::kF32)->rule.negative_scales);
  EXPECT_FALSE(tensor_lattice({"", DType::kI4, 100}, 1536, DType::kBF16, DType::kBF16));
}

TEST(TensorLattice, OfSingleFloatsThereIsNone) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ6_K}) {
    EXPECT_FALSE(tensor_lattice({"", dtype}, 1536, DType::kBF16, DType::kF16));
  }
}

TEST(TensorLattice, OfValuesThatAreNoFloatsThereIsNone) {
  for (DType stored : {DType::kQ4_0, DType::kI4, DType::kQ6_K}) {
    EXPECT_FALSE(tensor_lattice({"", DType::kQ4_0}, 1536, stored, DType::kF16));
  }
}

struct Stored {
  std::vector<std::byte> bytes;
  TensorView view;
};

Stored stored(DType dtype, std::span<const float> values, const Shape& shape) {
  Stored tensor;
  tensor.bytes.resize(*row_bytes(dtype, values.size()));
  encode(dtype, values, tensor.bytes);
  tensor.view = {.dtype = dtype, .shape = shape, .data = tensor.bytes};
  return tensor;
}

TEST(SampleRecovery, SeesAllOfASmallTensor) {
  const std::vector<float> values = mixed_groups(70);
  const Stored tensor = stored(DType::kBF16, values, {35, 2 * kGroup});
  const RecoveryCount sample = sample_recovery(tensor.view, kBlocks, 70);
  const RecoveryCount all = counted(kBlocks, values);
  EXPECT_EQ(sample.groups, 70u);
  EXPECT_EQ(sample.exact, all.exact);
  EXPECT_EQ(sample.scale_unfit, all.scale_unfit);
  EXPECT_EQ(sample.off_lattice, all.off_lattice);
  EXPECT_EQ(sample_recovery(tensor.view, kBlocks).groups, 70u);
}

/// Which groups a sample reads: those that change its counts when a value of theirs is moved off the lattice.
std::set<size_t> groups_read(int64_t rows, int64_t groups_of_row, int64_t most) {
  std::set<size_t> read;
  for (int64_t group = 0; group < rows * groups_of_row; ++group) {
    std::vector<float> values(static_cast<size_t>(rows * groups_of_row * kGroup), 0.0f);
    for (size_t i = 0; i < kGroup; ++i) {
      values[static_cast<size_t>(group) * kGroup + i] = 1.0f + static_cast<float>(i) / 128;
    }
    const Stored tensor = stored(DType::kF16, values, {rows, groups_of_row * kGroup});
    TensorLattice lattice = kBlocks;
    lattice.rule.value_type = DType::kF16;
    const RecoveryCount count = sample_recovery(tensor.view, lattice, most);
    EXPECT_EQ(count.groups, static_cast<uint64_t>(most));
    if (count.off_lattice > 0) read.insert(static_cast<size_t>(group));
  }
  return read;
}

TEST(SampleRecovery, ReadsOneGroupOfEachStretchAndNotAlwaysTheSameColumns) {
  const std::set<size_t> read = groups_read(12, 10, 12);
  ASSERT_EQ(read.size(), 12u);
  std::set<size_t> stretches, columns;
  for (size_t group : read) {
    stretches.insert(group / 10);
    columns.insert(group % 10);
  }
  EXPECT_EQ(stretches.size(), 12u);
  EXPECT_GE(columns.size(), 8u);
}

TEST(SampleRecovery, ATensorWithoutRowsHasNoGroups) {
  EXPECT_EQ(sample_recovery({.dtype = DType::kBF16, .shape = {0, 32}}, kBlocks).groups, 0u);
}

}  // namespace
}  // namespace carat
