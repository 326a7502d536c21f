#include "eval/reference_logits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/random.h"
#include "base/sha256.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

LogitsHeader header_for(int64_t V, int64_t rows) {
  const EvalText text = one_document({1, 2, 3});
  return {.origin = {"a model", sha256("its weights")},
          .text_sha256 = text_digest(text),
          .vocabulary_sha256 = vocabulary_digest(Vocabulary()),
          .vocabulary = V,
          .predictions = rows,
          .positions = 512,
          .overlap = 3};
}

class ReferenceLogitsTest : public ::testing::Test {
 protected:
  /// Writes rows of `V` logits and opens the file.
  ReferenceLogits written(int64_t V, std::span<const float> rows) {
    const LogitsHeader header = header_for(V, static_cast<int64_t>(rows.size()) / V);
    ReferenceLogitsWriter file = ReferenceLogitsWriter::create(path_, header).value();
    EXPECT_TRUE(file.add(rows).ok());
    EXPECT_TRUE(file.commit().ok());
    EXPECT_EQ(std::filesystem::file_size(path_), ReferenceLogitsWriter::file_bytes(header));
    return ReferenceLogits::open(path_).value();
  }

  std::vector<float> row_of(const ReferenceLogits& logits, int64_t row) {
    std::vector<float> out(static_cast<size_t>(logits.header().vocabulary));
    const Status status = logits.read(row, out);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return out;
  }

  std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void replace_content(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  void expect_refused(const std::string& expected) const {
    const auto refused = ReferenceLogits::open(path_);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::kRefused);
    EXPECT_NE(refused.error().message.find(expected), std::string::npos) << refused.error().message;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "reference.logits";
};

TEST_F(ReferenceLogitsTest, NoLogitMovesByMoreThanHalfAStep) {
  constexpr int64_t V = 9001;
  Random random(1);
  for (const float scale : {1e-30f, 1e-3f, 10.0f, 1e30f}) {
    std::vector<float> rows(3 * V);
    for (float& logit : rows) logit = scale * (random.normal() - 2.0f);
    const ReferenceLogits logits = written(V, rows);
    for (int64_t row = 0; row < 3; ++row) {
      const auto expected = std::span(rows).subspan(static_cast<size_t>(row * V), V);
      const auto [smallest, largest] = std::ranges::minmax(expected);
      const double bound = (static_cast<double>(largest) - smallest) / 131070 + 1e-7 * std::abs(largest - 10 * scale);
      const std::vector<float> found = row_of(logits, row);
      for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], bound) << scale << " " << i;
      EXPECT_EQ(*std::ranges::min_element(found), smallest);
    }
  }
}

TEST_F(ReferenceLogitsTest, EqualLogitsAndExtremesAreKept) {
  const std::vector<float> rows = {2.5f, 2.5f, 2.5f, -3.4e38f, 0.0f, 3.4e38f};
  const ReferenceLogits logits = written(3, rows);
  EXPECT_EQ(row_of(logits, 0), (std::vector<float>{2.5f, 2.5f, 2.5f}));
  const std::vector<float> extremes = row_of(logits, 1);
  EXPECT_EQ(extremes[0], -3.4e38f);
  EXPECT_NEAR(extremes[1], 0.0f, 6.8e38 / 131070);
  EXPECT_NEAR(extremes[2], 3.4e38f, 6.8e38 / 131070);
}

TEST_F(ReferenceLogitsTest, TheHeaderComesBack) {
  const ReferenceLogits logits = written(2, std::vector<float>{1, 2, 3, 4});
  const LogitsHeader expected = header_for(2, 2);
  EXPECT_EQ(logits.header().origin.reference, "a model");
  EXPECT_EQ(logits.header().origin.weights_sha256, sha256("its weights"));
  EXPECT_EQ(logits.header().text_sha256, expected.text_sha256);
  EXPECT_EQ(logits.header().vocabulary_sha256, expected.vocabulary_sha256);
  EXPECT_EQ(logits.header().vocabulary, 2);
  EXPECT_EQ(logits.header().predictions, 2);
  EXPECT_EQ(logits.header().positions, 512);
  EXPECT_EQ(logits.header().overlap, 3);
  EXPECT_TRUE(logits.check(expected).ok());
  EXPECT_TRUE(is_reference_logits(path_));
  EXPECT_FALSE(is_reference_logits(folder_ / "missing"));
  EXPECT_FALSE(is_reference_logits(folder_.path()));
}

TEST_F(ReferenceLogitsTest, LogitsOfSomethingElseAreRefused) {
  const ReferenceLogits logits = written(2, std::vector<float>{1, 2, 3, 4});
  const auto expect = [&](auto change, const std::string& expected) {
    LogitsHeader wanted = header_for(2, 2);
    change(wanted);
    const Status status = logits.check(wanted);
    ASSERT_FALSE(status.ok()) << expected;
    EXPECT_NE(status.error().message.find(expected), std::string::npos) << status.error().message;
  };
  const std::string digest(64, '0');
  expect([](LogitsHeader& wanted) { wanted.vocabulary = 3; }, "another vocabulary: 2 ids, the model has 3");
  expect([&](LogitsHeader& wanted) { wanted.vocabulary_sha256 = digest; }, "another vocabulary: as many");
  expect([&](LogitsHeader& wanted) { wanted.text_sha256 = digest; }, "another text");
  expect([](LogitsHeader& wanted) { wanted.positions = 256; }, "other windows: 512 positions with an overlap of 3");
  expect([](LogitsHeader& wanted) { wanted.overlap = 0; }, "these are 512 positions with an overlap of 0");
}

TEST_F(ReferenceLogitsTest, AnyLengthButTheirOwnIsRefused) {
  (void)written(4, std::vector<float>(8, 1.0f));
  const std::string whole = content();
  for (size_t size = 0; size < whole.size(); ++size) {
    replace_content(whole.substr(0, size));
    EXPECT_FALSE(ReferenceLogits::open(path_).ok()) << size;
  }
  replace_content(whole.substr(0, whole.size() - 1));
  expect_refused("bytes, expected " + std::to_string(whole.size()) + " for 2 predictions");
  replace_content(whole + "x");
  expect_refused("bytes, expected");
}

TEST_F(ReferenceLogitsTest, DamagedHeadersAreRefused) {
  (void)written(4, std::vector<float>(8, 1.0f));
  const std::string whole = content();
  const auto with = [&](size_t at, const std::string& bytes) {
    std::string changed = whole;
    changed.replace(at, bytes.size(), bytes);
    replace_content(changed);
  };
  with(0, "X");
  expect_refused("no file of reference logits");
  with(8, "\x02");
  expect_refused("version 2");
  with(12, "\xff\xff\xff\xff");
  expect_refused("header is damaged");
  with(16, "[");
  expect_refused("no valid JSON");
  with(whole.find("\"predictions\":2") + 14, "0");
  expect_refused("predictions: is out of range");
  with(whole.find("\"vocabulary\":4") + 13, "-");
  EXPECT_FALSE(ReferenceLogits::open(path_).ok());
  const std::string unnamed = "\"reference\":\"\"       ";
  with(whole.find("\"reference\":\"a model\""), unnamed);
  expect_refused("reference: is empty");
  for (const char* digest : {"weights_sha256", "text_sha256", "vocabulary_sha256"}) {
    with(whole.find(digest) + std::strlen(digest) + 3, "?");
    expect_refused(std::string(digest) + ": expected 64 hexadecimal digits");
  }
}

TEST_F(ReferenceLogitsTest, ADamagedRowIsRefused) {
  const ReferenceLogits whole = written(4, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  const std::string bytes = content();
  const size_t second = bytes.size() - 24;
  for (const float step : {-1.0f, HUGE_VALF, NAN, 3e38f}) {
    std::string changed = bytes;
    std::memcpy(changed.data() + second + sizeof(float), &step, sizeof step);
    replace_content(changed);
    const ReferenceLogits damaged = ReferenceLogits::open(path_).value();
    std::vector<float> out(4);
    EXPECT_TRUE(damaged.read(0, out).ok());
    const Status status = damaged.read(1, out);
    ASSERT_FALSE(status.ok()) << step;
    EXPECT_NE(status.error().message.find("row 1 is damaged"), std::string::npos) << status.error().message;
  }
}

TEST_F(ReferenceLogitsTest, NoByteOfARowCanChangeUnseen) {
  const ReferenceLogits whole = written(4, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  const std::string bytes = content();
  std::vector<float> out(4);
  for (size_t at = bytes.size() - 24; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    replace_content(changed);
    EXPECT_FALSE(ReferenceLogits::open(path_).value().read(1, out).ok()) << at;
  }
}

TEST_F(ReferenceLogitsTest, AFileThatShrinksIsAnError) {
  const ReferenceLogits logits = written(4, std::vector<float>(8, 1.0f));
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 20);
  std::vector<float> out(4);
  EXPECT_FALSE(logits.read(1, out).ok());
}

TEST_F(ReferenceLogitsTest, AFileThatIsTooLargeForTheDiskIsNotBegun) {
  const auto refused = ReferenceLogitsWriter::create(path_, header_for(1 << 30, 1 << 30));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("the disk has room for"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST(DigestTest, TellTextsApart) {
  EvalText divided = one_document({1, 2});
  divided.documents.push_back({.ids = {3}, .category = {}});
  EXPECT_NE(text_digest(one_document({1, 2, 3})), text_digest(divided));
  EXPECT_NE(text_digest(one_document({1, 2, 3})), text_digest(one_document({1, 2, 4})));
  Vocabulary one, other;
  one.pieces = {"ab", "c"};
  other.pieces = {"a", "bc"};
  EXPECT_NE(vocabulary_digest(one), vocabulary_digest(other));
}

TEST(DigestTest, TellsWeightsApart) {
  const auto digest = [](const char* name) {
    return weights_digest(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/transformers" / name, {}).value();
  };
  std::ifstream file(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/transformers/e2b_bf16/model.safetensors",
                     std::ios::binary);
  EXPECT_EQ(digest("e2b_bf16"), sha256(std::string(std::istreambuf_iterator<char>(file), {})));
  EXPECT_NE(digest("e2b_bf16"), digest("e2b_f16"));
}

}  // namespace
}  // namespace carat
