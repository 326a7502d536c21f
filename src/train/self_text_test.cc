#include "train/self_text.h"

#include <gtest/gtest.h>

#include "tests/support/tiny_model.h"

namespace carat {
namespace {

const std::atomic<bool> kGoOn{false};

class SelfText : public ::testing::Test {
 protected:
  void SetUp() override {
    TinyModel({}, 2).write(folder_ / "m.gguf", "f32").value();
    checkpoint_ = Checkpoint::open(folder_ / "m.gguf").value();
  }

  std::vector<int32_t> written(const SelfTextOptions& options) {
    return write_self_text(
               *checkpoint_, options, [](int64_t) {}, kGoOn)
        .value();
  }

  TemporaryFolder folder_;
  std::optional<Checkpoint> checkpoint_;
};

TEST_F(SelfText, DoesNotDependOnTheNumberOfThreads) {
  const SelfTextOptions one{.tokens = 200, .sequence = 32, .seed = 4, .threads = 1};
  SelfTextOptions three = one;
  three.threads = 3;
  EXPECT_EQ(written(one).size(), 200u);
  EXPECT_EQ(written(one), written(three));
}

TEST_F(SelfText, AnotherSeedWritesAnotherText) {
  EXPECT_NE(written({.tokens = 64, .sequence = 32, .seed = 1}), written({.tokens = 64, .sequence = 32, .seed = 2}));
}

TEST_F(SelfText, ReportsProgressUpToTheEnd) {
  int64_t last = 0;
  const auto progress = [&](int64_t done) {
    EXPECT_GT(done, last);
    last = done;
  };
  ASSERT_TRUE(write_self_text(*checkpoint_, {.tokens = 100, .sequence = 32}, progress, kGoOn).ok());
  EXPECT_EQ(last, 100);
}

TEST_F(SelfText, StopsWhenAsked) {
  const std::atomic<bool> stop{true};
  const auto text = write_self_text(
      *checkpoint_, {.tokens = 100, .sequence = 32}, [](int64_t) {}, stop);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().kind, ErrorKind::kInterrupted);
}

TEST_F(SelfText, RefusesASequenceBeyondTheContext) {
  const auto text = write_self_text(
      *checkpoint_, {.tokens = 1000, .sequence = 257}, [](int64_t) {}, kGoOn);
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message.find("context of 256"), std::string::npos);
}

}  // namespace
}  // namespace carat
