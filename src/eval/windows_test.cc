#include "eval/windows.h"

#include <gtest/gtest.h>

#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

class WindowsTest : public ::testing::Test {
 protected:
  std::vector<int32_t> text(size_t count) const { return random_ids(model_.config().vocabulary, 9, count, 1); }

  static bool keep_going(int64_t, int64_t) { return true; }
  static void ignore(int32_t, std::span<const std::span<const float>>) {}

  Ops ops_{*all_kernels().front(), 1};
  Model model_ = Model::load(golden_model("e2b_bf16").folder, ops_).value();
  Model* const models_[1] = {&model_};
};

TEST_F(WindowsTest, PredictEveryIdOnceInOrder) {
  for (const int64_t positions : {int64_t{2}, int64_t{10}, int64_t{200}, int64_t{100000}}) {
    const std::vector<int32_t> ids = text(300);
    std::vector<int32_t> targets;
    const Status status = visit_predictions(models_, ids, {positions}, keep_going,
                                            [&](int32_t target, auto) { targets.push_back(target); });
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(targets, ids) << positions;
  }
}

TEST_F(WindowsTest, BeginWithBosAndSeeOnlyTheirOwnIds) {
  const std::vector<int32_t> ids = text(25);
  std::vector<std::vector<float>> found;
  ASSERT_TRUE(visit_predictions(models_, ids, {11}, keep_going, [&](int32_t, auto logits) {
                found.emplace_back(logits[0].begin(), logits[0].end());
              }).ok());
  ASSERT_EQ(found.size(), 25u);
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t begin = i / 10 * 10;
    std::vector<int32_t> seen = {model_.vocabulary().bos};
    seen.insert(seen.end(), ids.begin() + static_cast<int64_t>(begin), ids.begin() + static_cast<int64_t>(i));
    KvCache cache(model_.config(), 11);
    ASSERT_TRUE(cache.reserve(static_cast<int64_t>(seen.size())).ok());
    const std::span<const float> expected = model_.last_logits(seen, cache).value();
    EXPECT_EQ(found[i], std::vector<float>(expected.begin(), expected.end())) << "id " << i;
  }
}

TEST_F(WindowsTest, ReportProgressUpToTheEnd) {
  std::vector<int64_t> done;
  ASSERT_TRUE(visit_predictions(
                  models_, text(25), {11},
                  [&](int64_t so_far, int64_t total) {
                    EXPECT_EQ(total, 25);
                    done.push_back(so_far);
                    return true;
                  },
                  ignore)
                  .ok());
  EXPECT_EQ(done, (std::vector<int64_t>{10, 20, 25}));
}

TEST_F(WindowsTest, StopWhenAskedTo) {
  const Status status = visit_predictions(
      models_, text(25), {11}, [](int64_t, int64_t) { return false; }, ignore);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInterrupted);
}

TEST_F(WindowsTest, RefuseATextWithoutIds) {
  EXPECT_EQ(visit_predictions(models_, {}, {}, keep_going, ignore).error().kind, ErrorKind::kUsage);
}

TEST_F(WindowsTest, RefuseIdsOutsideTheVocabulary) {
  const std::vector<int32_t> ids = {1, -5};
  EXPECT_EQ(visit_predictions(models_, ids, {}, keep_going, ignore).error().kind, ErrorKind::kUsage);
}

TEST_F(WindowsTest, RefuseToBeTooShortToPredict) {
  EXPECT_EQ(visit_predictions(models_, text(5), {1}, keep_going, ignore).error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace carat
