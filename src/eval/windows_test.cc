#include "eval/windows.h"

#include <gtest/gtest.h>

#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

class WindowsTest : public ::testing::Test {
 protected:
  std::vector<int32_t> ids(size_t count, uint32_t seed = 9) const {
    return random_ids(model_.config().vocabulary, seed, count, 1);
  }
  EvalText text(size_t count) const { return one_document(ids(count)); }

  static bool keep_going(int64_t, int64_t) { return true; }
  static Status ignore(const Predictions&) { return success(); }

  /// The logits after BOS and `seen`.
  std::vector<float> expected_after(std::span<const int32_t> seen) {
    std::vector<int32_t> fed = {model_.vocabulary().bos};
    fed.insert(fed.end(), seen.begin(), seen.end());
    KvCache cache(model_.config(), static_cast<int64_t>(fed.size()));
    EXPECT_TRUE(cache.reserve(static_cast<int64_t>(fed.size())).ok());
    const std::span<const float> logits = model_.last_logits(fed, cache).value();
    return {logits.begin(), logits.end()};
  }

  Ops ops_{*all_kernels().front(), 1};
  Model model_ = Model::load(golden_model("e2b_bf16").folder, ops_).value();
  Model* const models_[1] = {&model_};
};

TEST_F(WindowsTest, PredictEveryIdOnceInOrder) {
  for (const WindowOptions& options :
       {WindowOptions{.positions = 2}, WindowOptions{.positions = 10}, WindowOptions{.positions = 10, .overlap = 8},
        WindowOptions{.positions = 200, .overlap = 33}, WindowOptions{.positions = 100000}}) {
    EvalText words = text(300);
    words.documents.push_back({.ids = ids(7, 3), .category = 0});
    words.documents.push_back({.ids = ids(1, 4), .category = 0});
    std::vector<int32_t> expected;
    for (const EvalDocument& document : words.documents) {
      expected.insert(expected.end(), document.ids.begin(), document.ids.end());
    }
    std::vector<int32_t> targets;
    const Status status = visit_predictions(models_, words, options, keep_going, [&](const Predictions& predictions) {
      EXPECT_EQ(predictions.first, static_cast<int64_t>(targets.size()));
      EXPECT_EQ(predictions.document->category.has_value(), predictions.first >= 300);
      targets.insert(targets.end(), predictions.targets.begin(), predictions.targets.end());
      return success();
    });
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(targets, expected) << options.positions << " " << options.overlap;
  }
}

/// Whatever the overlap, an id is predicted from BOS and the ids before it in its window, those that repeat included.
TEST_F(WindowsTest, BeginWithBosAndSeeOnlyTheirOwnIds) {
  for (const size_t overlap : {0, 4}) {
    const std::vector<int32_t> words = ids(25);
    std::vector<std::vector<float>> found;
    const WindowOptions options = {.positions = 11, .overlap = static_cast<int64_t>(overlap)};
    const Status status =
        visit_predictions(models_, one_document(words), options, keep_going, [&](const Predictions& predictions) {
          const std::span<const float> logits = predictions.logits[0];
          const size_t V = logits.size() / predictions.targets.size();
          for (size_t t = 0; t < predictions.targets.size(); ++t) {
            const auto row = logits.subspan(t * V, V);
            found.emplace_back(row.begin(), row.end());
          }
          return success();
        });
    ASSERT_TRUE(status.ok()) << status.error().message;
    ASSERT_EQ(found.size(), 25u);
    size_t window = 0;  // its first id
    for (size_t i = 0; i < words.size(); ++i) {
      if (i == window + 10) window += 10 - overlap;
      EXPECT_EQ(found[i], expected_after(std::span(words).subspan(window, i - window))) << "id " << i;
    }
  }
}

TEST_F(WindowsTest, OfADocumentSeeNothingOfTheOneBefore) {
  EvalText words = text(5);
  words.documents.push_back({.ids = ids(3, 4), .category = {}});
  std::vector<float> found;
  ASSERT_TRUE(visit_predictions(models_, words, {}, keep_going, [&](const Predictions& predictions) {
                if (predictions.first != 5) return success();
                const std::span<const float> row = predictions.logits[0].first(predictions.logits[0].size() / 3);
                found.assign(row.begin(), row.end());
                return success();
              }).ok());
  EXPECT_EQ(found, expected_after({}));
}

TEST_F(WindowsTest, StopWhenTheVisitorFails) {
  const Status status = visit_predictions(models_, text(25), {.positions = 11}, keep_going,
                                          [](const Predictions&) { return Status(failed("full")); });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "full");
}

TEST_F(WindowsTest, ReportProgressUpToTheEnd) {
  std::vector<int64_t> done;
  ASSERT_TRUE(visit_predictions(
                  models_, text(25), {.positions = 11},
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
      models_, text(25), {.positions = 11}, [](int64_t, int64_t) { return false; }, ignore);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInterrupted);
}

TEST_F(WindowsTest, RefuseATextWithoutIds) {
  EXPECT_EQ(visit_predictions(models_, EvalText(), {}, keep_going, ignore).error().kind, ErrorKind::kUsage);
}

TEST_F(WindowsTest, RefuseIdsOutsideTheVocabulary) {
  EXPECT_EQ(visit_predictions(models_, one_document({1, -5}), {}, keep_going, ignore).error().kind, ErrorKind::kUsage);
}

TEST_F(WindowsTest, RefuseToBeTooShortToPredict) {
  EXPECT_EQ(visit_predictions(models_, text(5), {.positions = 1}, keep_going, ignore).error().kind, ErrorKind::kUsage);
}

TEST(WindowPositionsTest, AreWhatIsWantedOrTheLeastContext) {
  const int64_t contexts[] = {100, 40};
  EXPECT_EQ(window_positions({.positions = 30}, contexts).value(), 30);
  EXPECT_EQ(window_positions({.positions = 512}, contexts).value(), 40);
}

TEST(WindowPositionsTest, RefuseAnOverlapThatLeavesNothingToPredict) {
  const int64_t contexts[] = {40};
  EXPECT_TRUE(window_positions({.positions = 512, .overlap = 38}, contexts).ok());
  for (const int64_t overlap : {int64_t{39}, int64_t{-1}, INT64_MAX}) {
    const auto refused = window_positions({.positions = 512, .overlap = overlap}, contexts);
    ASSERT_FALSE(refused.ok()) << overlap;
    EXPECT_NE(refused.error().message.find("take at most 38"), std::string::npos) << refused.error().message;
  }
}

TEST(WindowPositionsTest, AreSaidInWords) {
  EXPECT_EQ(windows_text(512, 0), "windows of 512 positions, each begins with BOS, 0 overlap");
}

}  // namespace
}  // namespace carat
