#include "model/token_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>

#include "lattice/lattice.h"
#include "tests/support/random_blocks.h"

namespace carat {
namespace {

constexpr int64_t kRows = 3000;  // more than are kept
constexpr int64_t kColumns = 512;
constexpr int64_t kGroups = 4;
constexpr int64_t kBatch = 40;

/// A file in memory that counts the reads and can give little at once or fail at a byte.
class MemoryFile : public ByteSource {
 public:
  std::string name() const override { return "model.gguf"; }

  std::vector<std::byte> bytes;
  size_t most_at_once = SIZE_MAX;
  std::atomic<uint64_t> fails_from{UINT64_MAX};
  mutable std::atomic<int> reads{0};

 private:
  ssize_t read_some(uint64_t offset, std::span<std::byte> out) const override {
    ++reads;
    if (offset + out.size() > fails_from) {
      errno = EIO;
      return -1;
    }
    const size_t count = std::min({out.size(), most_at_once, bytes.size() - static_cast<size_t>(offset)});
    std::memcpy(out.data(), bytes.data() + offset, count);
    return static_cast<ssize_t>(count);
  }
};

/// A table, its scales behind it, in a file after some other bytes.
struct StoredTable {
  explicit StoredTable(DType dtype, DType scale_dtype = DType::kF32) {
    Random random(7);
    const bool scaled = is_code_type(dtype);
    const int64_t scales = scaled ? kRows * kGroups : 0;
    const std::vector<std::byte> data = random_blocks(dtype, kRows * kColumns, random);
    const std::vector<std::byte> factors = random_blocks(scale_dtype, scales, random);
    file.bytes.assign(kBegin, std::byte{0});
    file.bytes.insert(file.bytes.end(), data.begin(), data.end());
    file.bytes.insert(file.bytes.end(), factors.begin(), factors.end());
    const Bytes stored = Bytes(file.bytes).subspan(kBegin);
    view = {dtype, {kRows, kColumns}, stored.first(data.size())};
    if (scaled) view.scales = {scale_dtype, kGroups, stored.subspan(data.size())};
  }

  TokenRows rows(int64_t batch = kBatch) const {
    return TokenRows({{view, SourcePlace{&file, kBegin}, SourcePlace{&file, kBegin + view.data.size()}}}, batch);
  }

  static constexpr size_t kBegin = 96;
  MemoryFile file;
  TensorView view;
};

std::vector<float> row_of(const TensorView& view, int64_t row) {
  std::vector<float> values(static_cast<size_t>(view.columns()));
  decode_row(view, row, values);
  return values;
}

/// The bits of all rows that were fetched, and of those of the table.
void expect_rows(const TokenRows& rows, const TensorView& table, std::span<const int32_t> ids) {
  ASSERT_EQ(rows.slots().size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::vector<float> found = row_of(rows.kept(), rows.slots()[i]);
    const std::vector<float> expected = row_of(table, ids[i]);
    ASSERT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0) << "token " << ids[i];
  }
}

std::vector<int32_t> random_batch(std::mt19937& random, size_t count) {
  std::vector<int32_t> ids(count);
  // Small ids come often, as common words do.
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % (random() % 2 == 0 ? 30 : kRows));
  return ids;
}

struct Storage {
  DType dtype;
  DType scale_dtype;
};

std::vector<Storage> all_storages() {
  std::vector<Storage> all;
  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    all.push_back({dtype, DType::kF32});
    if (is_code_type(dtype)) all.push_back({dtype, DType::kBF16});
  }
  return all;
}

class TokenRowsOfType : public testing::TestWithParam<Storage> {};

INSTANTIATE_TEST_SUITE_P(Types, TokenRowsOfType, testing::ValuesIn(all_storages()), [](const auto& one) {
  return std::string(dtype_name(one.param.dtype)) + "_" + std::string(dtype_name(one.param.scale_dtype));
});

TEST_P(TokenRowsOfType, AreThoseOfTheTableBitForBit) {
  const StoredTable table(GetParam().dtype, GetParam().scale_dtype);
  TokenRows rows = table.rows();
  ThreadPool pool(3);
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    const std::vector<int32_t> ids = random_batch(random, 1 + random() % kBatch);
    ASSERT_TRUE(rows.fetch(ids, pool).ok());
    expect_rows(rows, table.view, ids);
  }
}

TEST_P(TokenRowsOfType, AreTheSameFromMemory) {
  const StoredTable table(GetParam().dtype, GetParam().scale_dtype);
  TokenRows rows({{table.view, std::nullopt, std::nullopt}}, kBatch);
  ThreadPool pool(1);
  const std::vector<int32_t> ids = {5, 0, kRows - 1, 5};
  ASSERT_TRUE(rows.fetch(ids, pool).ok());
  expect_rows(rows, table.view, ids);
}

TEST_P(TokenRowsOfType, MayLieInSeveralTables) {
  const StoredTable left(GetParam().dtype, GetParam().scale_dtype);
  const StoredTable right(GetParam().dtype, GetParam().scale_dtype);
  const SourcePlace data = {&right.file, StoredTable::kBegin};
  const SourcePlace scales = {&right.file, StoredTable::kBegin + right.view.data.size()};
  TokenRows rows({{left.view, std::nullopt, std::nullopt}, {right.view, data, scales}}, kBatch);
  ThreadPool pool(2);
  const std::vector<int32_t> ids = {5, 0, kRows - 1, 5};
  ASSERT_TRUE(rows.fetch(ids, pool).ok());
  ASSERT_EQ(rows.kept().columns(), 2 * kColumns);
  for (size_t i = 0; i < ids.size(); ++i) {
    std::vector<float> expected = row_of(left.view, ids[i]);
    const std::vector<float> behind = row_of(right.view, ids[i]);
    expected.insert(expected.end(), behind.begin(), behind.end());
    const std::vector<float> found = row_of(rows.kept(), rows.slots()[i]);
    ASSERT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0) << "token " << ids[i];
  }
}

TEST(TokenRows, EachIsReadOnceWhileItIsKept) {
  const StoredTable table(DType::kI4);
  TokenRows rows = table.rows();
  ThreadPool pool(2);
  ASSERT_TRUE(rows.fetch(std::vector<int32_t>{9, 4, 9, 4, 4}, pool).ok());
  EXPECT_EQ(table.file.reads, 2 * 2);  // codes and scales
  ASSERT_TRUE(rows.fetch(std::vector<int32_t>{4, 9, 8}, pool).ok());
  EXPECT_EQ(table.file.reads, 3 * 2);
}

TEST(TokenRows, TheOnesUsedLongestAgoAreReadAgain) {
  const StoredTable table(DType::kQ8_0);
  TokenRows rows = table.rows();
  ThreadPool pool(1);
  const int64_t kept = rows.kept().rows();
  ASSERT_LT(kept, kRows);
  for (int32_t id = 0; id < kept; ++id) ASSERT_TRUE(rows.fetch({&id, 1}, pool).ok());
  const auto reads_for = [&](int32_t id) {
    const int before = table.file.reads;
    EXPECT_TRUE(rows.fetch({&id, 1}, pool).ok());
    expect_rows(rows, table.view, {&id, 1});
    return table.file.reads - before;
  };
  EXPECT_EQ(reads_for(0), 0);
  EXPECT_EQ(reads_for(kRows - 1), 1);  // takes the place of 1
  EXPECT_EQ(reads_for(0), 0);
  EXPECT_EQ(reads_for(1), 1);
}

TEST(TokenRows, ABatchMayBeLargerThanWhatIsKeptOtherwise) {
  const StoredTable table(DType::kI2);
  TokenRows rows = table.rows(2000);
  ThreadPool pool(2);
  std::mt19937 random(3);
  for (int round = 0; round < 3; ++round) {
    const std::vector<int32_t> ids = random_batch(random, 2000);
    ASSERT_TRUE(rows.fetch(ids, pool).ok());
    expect_rows(rows, table.view, ids);
  }
}

TEST(TokenRows, ComeWholeFromADiskThatGivesLittleAtOnce) {
  StoredTable table(DType::kI4);
  table.file.most_at_once = 13;
  TokenRows rows = table.rows();
  ThreadPool pool(2);
  const std::vector<int32_t> ids = {0, 17, 2999, 1234};
  ASSERT_TRUE(rows.fetch(ids, pool).ok());
  expect_rows(rows, table.view, ids);
}

TEST(TokenRows, AnErrorNamesTheFirstTokenAndNothingOfItIsKept) {
  StoredTable table(DType::kQ4_0);
  const size_t row = *row_bytes(DType::kQ4_0, kColumns);
  TokenRows rows = table.rows();
  ThreadPool pool(3);
  ASSERT_TRUE(rows.fetch(std::vector<int32_t>{1, 250}, pool).ok());
  table.file.fails_from = StoredTable::kBegin + 200 * row;
  const std::vector<int32_t> ids = {3, 299, 200, 250, 201, 2};
  const Status status = rows.fetch(ids, pool);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kFailed);
  EXPECT_EQ(status.error().message, "the row of token 200 in the per-layer table: model.gguf: " + std::to_string(row) +
                                        " bytes at offset " + std::to_string(StoredTable::kBegin + 200 * row) +
                                        " could not be read: Input/output error after 0 of them");
  EXPECT_TRUE(rows.slots().empty());
  const std::vector<int32_t> readable = {3, 2, 199};
  ASSERT_TRUE(rows.fetch(readable, pool).ok());
  expect_rows(rows, table.view, readable);
  table.file.fails_from = UINT64_MAX;
  ASSERT_TRUE(rows.fetch(ids, pool).ok());
  expect_rows(rows, table.view, ids);
}

TEST(TokenRows, CountsItsMemory) {
  const StoredTable table(DType::kI4);
  const TensorSpec spec = {"table", DType::kI4, {kRows, kColumns}, kGroups, DType::kF32};
  const TokenRows rows = table.rows();
  const uint64_t stored = rows.kept().data.size() + rows.kept().scales.data.size();
  EXPECT_EQ(stored, static_cast<uint64_t>(rows.kept().rows()) * (kColumns / 2 + kGroups * 4));
  EXPECT_GT(TokenRows::bytes(spec, kBatch), stored);
  EXPECT_LT(TokenRows::bytes(spec, kBatch), stored + 16 * 1024);
}

}  // namespace
}  // namespace carat
